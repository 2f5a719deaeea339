import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { Redis } from "ioredis";

/* The limit of the bench `accept`: one Hono route that puts its body into a stream. Environment: REDIS_URL, PORT. */

const redis = new Redis(process.env["REDIS_URL"]!);
const app = new Hono().post("/internal/jobs", async (c) => {
  const entry = await redis.xadd("jobs", "*", "spec", await c.req.text());
  return c.json({ entry }, 202);
});
const answer = getRequestListener(app.fetch);
createServer((request, response) => void answer(request, response)).listen(
  Number(process.env["PORT"]),
  "127.0.0.1",
);

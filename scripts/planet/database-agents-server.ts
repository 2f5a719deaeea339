import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import type { DatabaseAgent } from "./database-agent.ts";

export type DatabaseAgentsServer = { close(): Promise<void> };

const PermitRequest = z.strictObject({ until: z.number() });
const FollowRequest = z.strictObject({ region: z.string().min(1).max(40) });

/** Each region's keeper may use its own region's agent alone. */
export const agentToken = (controlToken: string, id: string): string =>
  createHmac("sha256", controlToken).update(`database-agent:${id}`).digest("base64url");

/** HTTP on 127.0.0.1: `GET /{region}/status`, `POST /{region}/permit|stop|start|promote|follow`, each under the region's token. */
export async function createDatabaseAgentsServer({
  agents,
  controlToken,
  port,
}: {
  agents: ReadonlyMap<string, DatabaseAgent>;
  controlToken: string;
  port: number;
}): Promise<DatabaseAgentsServer> {
  const app = new Hono<{ Variables: { agent: DatabaseAgent } }>();
  const digest = (text: string) => createHash("sha256").update(text).digest();

  app.use(bodyLimit({ maxSize: 4096 }));
  app.use("/:region/*", async (context, next) => {
    const id = context.req.param("region");
    const agent = agents.get(id);
    const expected = digest(`Bearer ${agentToken(controlToken, id)}`);
    const given = digest(context.req.header("authorization") ?? "");
    if (!timingSafeEqual(given, expected) || agent === undefined) {
      return context.json({ detail: "the region's token is needed" }, 401);
    }
    context.set("agent", agent);
    return next();
  });
  app.onError((error, context) => context.json({ detail: error.message }, 500));
  app.notFound((context) => context.json({ detail: "no such path" }, 404));

  app.get("/:region/status", async (context) => context.json(await context.var.agent.status()));
  app.post("/:region/permit", async (context) => {
    const asked = PermitRequest.safeParse(await context.req.json().catch(() => undefined));
    if (!asked.success) return context.json({ detail: "until when?" }, 400);
    context.var.agent.permit(asked.data.until);
    return context.json({ done: true });
  });
  app.post("/:region/:step{stop|start|promote}", async (context) => {
    await context.var.agent[context.req.param("step") as "stop" | "start" | "promote"]();
    return context.json({ done: true });
  });
  app.post("/:region/follow", async (context) => {
    const asked = FollowRequest.safeParse(await context.req.json().catch(() => undefined));
    if (!asked.success || !agents.has(asked.data.region)) {
      return context.json({ detail: "no such region" }, 400);
    }
    await context.var.agent.follow(asked.data.region);
    return context.json({ done: true });
  });

  const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port });
  await once(server, "listening");
  return {
    async close() {
      const closed = once(server, "close");
      server.close();
      if ("closeAllConnections" in server) server.closeAllConnections();
      await closed;
    },
  };
}

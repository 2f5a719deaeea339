import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import type { LinkProxy } from "./link-proxy.ts";
import type { PlanetControls } from "./planet-controls.ts";

/** `POST /links`: which links (a link's name, or a region, "edge" or "client" at either end) and what befalls them. */
export const LinkChange = z.strictObject({
  match: z.string().min(1).max(200),
  change: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("cut"), how: z.enum(["blackhole", "reset"]) }),
    z.strictObject({ kind: z.literal("slow"), extra_ms: z.number().min(0).max(600_000) }),
    z.strictObject({ kind: z.literal("restore") }),
  ]),
});
export type LinkChange = z.infer<typeof LinkChange>;

/** `POST /processes/{name}/kill`: a signal behind the supervisor's back, as a fault would come. */
export const KillRequest = z.strictObject({
  signal: z.enum(["SIGKILL", "SIGTERM", "SIGSTOP", "SIGCONT"]).default("SIGKILL"),
});

export type ControlServer = {
  readonly url: string;
  readonly token: string;
  close(): Promise<void>;
};

export type ControlServerOptions = {
  planet: PlanetControls;
  token: string;
  port: number;
};

/**
 * HTTP on 127.0.0.1 by which the planet is looked at, disturbed and stopped. Every request needs the bearer token of
 * planet.json. GET /status, /connections; POST /stop, /regions/{id}/down, /regions/{id}/up, /regions/{id}/lose-disks, /processes/{name}/kill,
 * /processes/{name}/down (and stay so), /processes/{name}/up, /links.
 */
export async function createControlServer({
  planet,
  token,
  port,
}: ControlServerOptions): Promise<ControlServer> {
  const app = new Hono();
  const digest = (text: string) => createHash("sha256").update(text).digest();
  const expected = digest(`Bearer ${token}`);
  const refuse = (context: Context, status: 400 | 401 | 404 | 409 | 500, detail: string) =>
    context.json({ detail }, status);

  app.use(bodyLimit({ maxSize: 64 * 1024 }));
  app.use(async (context, next) => {
    if (!timingSafeEqual(digest(context.req.header("authorization") ?? ""), expected)) {
      return refuse(context, 401, "the bearer token of planet.json is needed");
    }
    return next();
  });
  app.onError((error, context) => refuse(context, 500, error.message));
  app.notFound((context) => refuse(context, 404, "no such path"));

  app.get("/status", (context) => context.json(planet.status()));
  app.get("/connections", (context) => context.json(planet.connections()));
  app.post("/stop", (context) => {
    // Answered first: stopping also closes this server.
    setTimeout(() => void planet.stop().catch(() => undefined), 50);
    return context.json({ stopping: true }, 202);
  });
  app.post("/regions/:id/:change{down|up|lose-disks}", async (context) => {
    const region = planet.regions.get(context.req.param("id"));
    if (region === undefined) return refuse(context, 404, "no such region");
    const change = context.req.param("change");
    if (change === "down") await region.takeDown();
    else if (change === "up") await planet.bringUp(region.id);
    else await region.loseDisks();
    return context.json(region.status());
  });
  app.post("/processes/:name/kill", async (context) => {
    const process = planet.supervisor.find(context.req.param("name"));
    if (process === undefined) return refuse(context, 404, "no such process");
    const asked = KillRequest.safeParse(await context.req.json().catch(() => ({})));
    if (!asked.success) return refuse(context, 400, z.prettifyError(asked.error));
    const { pid } = process;
    if (!process.kill(asked.data.signal)) return refuse(context, 409, "it does not run");
    return context.json({ pid });
  });
  app.post("/processes/:name/:change{down|up}", async (context) => {
    const process = planet.supervisor.find(context.req.param("name"));
    if (process === undefined) return refuse(context, 404, "no such process");
    if (context.req.param("change") === "down") await process.takeDown();
    else if (process.state === "down") await process.start();
    return context.json({ name: process.spec.name, state: process.state });
  });
  app.post("/links", async (context) => {
    const asked = LinkChange.safeParse(await context.req.json().catch(() => undefined));
    if (!asked.success) return refuse(context, 400, z.prettifyError(asked.error));
    const { match, change } = asked.data;
    const matching = Array.from(planet.links.values()).filter(({ name }) => matches(name, match));
    if (matching.length === 0) return refuse(context, 404, "no link of that name");
    for (const link of matching) apply(link, change);
    return context.json(matching.map((link) => link.stats()));
  });

  const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port });
  await once(server, "listening");
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    token,
    async close() {
      const closed = once(server, "close");
      server.close();
      if ("closeAllConnections" in server) server.closeAllConnections();
      await closed;
    },
  };
}

function matches(name: string, match: string): boolean {
  const [from, rest] = name.split("->");
  return name === match || from === match || rest?.split(":")[0] === match;
}

function apply(link: LinkProxy, change: LinkChange["change"]): void {
  if (change.kind === "cut") link.cut(change.how);
  else if (change.kind === "restore") link.restore();
  else link.setRtt(link.stats().baseRttMs + change.extra_ms);
}

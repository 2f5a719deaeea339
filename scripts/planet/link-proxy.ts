import { connect, createServer, type Socket } from "node:net";
import { delayed } from "./delayed-pipe.ts";

/** How a link fails: blackhole swallows what is sent and keeps senders waiting; reset breaks connections at once. */
export type Cut = "blackhole" | "reset";

export type LinkStats = {
  name: string;
  state: "open" | Cut;
  rttMs: number;
  /** What it is when nothing slows it. */
  baseRttMs: number;
  connections: number;
  accepted: number;
  bytesToTarget: number;
  bytesToClient: number;
};

/** A TCP proxy that behaves like a long line: each byte takes half the round trip, order and bandwidth are kept. */
export type LinkProxy = {
  readonly name: string;
  readonly port: number;
  /** Takes effect for what is sent from now on. Milliseconds. */
  setRtt(rttMs: number): void;
  cut(how: Cut): void;
  /** Ends a cut and a slowness. Connections that a blackhole held go on where they stopped, as TCP would after a gap. */
  restore(): void;
  stats(): LinkStats;
  close(): Promise<void>;
};

export type LinkOptions = {
  name: string;
  target: { host: string; port: number };
  rttMs: number;
  /** 0 or nothing: a free one. */
  listenPort?: number;
};

type Line = { client: Socket; upstream: Socket; hold(held: boolean): void; destroy(): void };

export async function createLinkProxy(options: LinkOptions): Promise<LinkProxy> {
  const { name, target } = options;
  let rttMs = options.rttMs;
  let state: LinkStats["state"] = "open";
  let accepted = 0;
  const bytes = { toTarget: 0, toClient: 0 };
  const lines = new Set<Line>();
  /** Accepted during a blackhole; connected on when the link is back. */
  const waiting = new Set<Socket>();

  function join(client: Socket): void {
    const opened = performance.now();
    const upstream = connect({
      host: target.host,
      port: target.port,
      allowHalfOpen: true,
      noDelay: true,
    });
    const out = delayed(client, upstream, {
      // Over a real line the handshake takes a round trip before the first byte can be sent.
      delayMs: () => rttMs / 2,
      notBefore: opened + 1.5 * rttMs,
      count: (length) => (bytes.toTarget += length),
    });
    const back = delayed(upstream, client, {
      delayMs: () => rttMs / 2,
      notBefore: opened + rttMs,
      count: (length) => (bytes.toClient += length),
    });
    const line: Line = {
      client,
      upstream,
      hold(held) {
        out.hold(held);
        back.hold(held);
      },
      destroy() {
        out.stop();
        back.stop();
        client.resetAndDestroy();
        upstream.resetAndDestroy();
        lines.delete(line);
      },
    };
    const closed = () => {
      if (client.destroyed && upstream.destroyed) {
        out.stop();
        back.stop();
        lines.delete(line);
      }
    };
    client.once("close", closed);
    upstream.once("close", closed);
    lines.add(line);
  }

  const server = createServer(
    { allowHalfOpen: true, noDelay: true, pauseOnConnect: true },
    (client) => {
      accepted += 1;
      client.on("error", () => waiting.delete(client));
      if (state === "reset") {
        client.resetAndDestroy();
      } else if (state === "blackhole") {
        waiting.add(client);
        client.once("close", () => waiting.delete(client));
      } else {
        join(client);
      }
    },
  );
  server.maxConnections = 4096;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: options.listenPort ?? 0, host: "127.0.0.1" }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error(`${name} has no port`);

  function breakAll(): void {
    for (const line of lines) line.destroy();
    for (const client of waiting) client.resetAndDestroy();
    waiting.clear();
  }

  return {
    name,
    port: address.port,
    setRtt(next) {
      rttMs = next;
    },
    cut(how) {
      state = how;
      if (how === "reset") breakAll();
      else for (const line of lines) line.hold(true);
    },
    restore() {
      state = "open";
      rttMs = options.rttMs;
      for (const line of lines) line.hold(false);
      for (const client of waiting) if (!client.destroyed) join(client);
      waiting.clear();
    },
    stats: () => ({
      name,
      state,
      rttMs,
      baseRttMs: options.rttMs,
      connections: lines.size + waiting.size,
      accepted,
      bytesToTarget: bytes.toTarget,
      bytesToClient: bytes.toClient,
    }),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      breakAll();
      await closed;
    },
  };
}

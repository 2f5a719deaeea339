import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/**
 * Hands out ports on 127.0.0.1. `want(name, preferred)` gives the port that `name` had before, else `preferred`,
 * else (or when that one is taken) a free one; the same name always gets the same answer within a run.
 */
export type Ports = {
  want(name: string, preferred?: number): Promise<number>;
  /** Name to port, to be kept for the next run. */
  assigned(): Record<string, number>;
};

/**
 * @param remembered what `assigned()` gave in an earlier run
 * @param usePreferred false in tests, so that a second planet keeps out of the way of the first
 */
export function createPorts(
  remembered: Record<string, number> = {},
  { usePreferred = true }: { usePreferred?: boolean } = {},
): Ports {
  const assigned = new Map<string, number>();
  const reserved = new Set(Object.values(remembered));

  async function pick(name: string, preferred?: number): Promise<number> {
    const taken = new Set(assigned.values());
    const before = remembered[name];
    if (before !== undefined && !taken.has(before) && (await isFree(before))) return before;
    if (
      usePreferred &&
      preferred !== undefined &&
      !taken.has(preferred) &&
      !reserved.has(preferred)
    ) {
      if (await isFree(preferred)) return preferred;
    }
    for (;;) {
      const port = await freePort();
      if (!taken.has(port) && !reserved.has(port)) return port;
    }
  }

  let last: Promise<unknown> = Promise.resolve();
  return {
    want(name, preferred) {
      // One after the other: two names asked for at once must not both find the same port free.
      const next = last.then(async () => {
        const port = assigned.get(name) ?? (await pick(name, preferred));
        assigned.set(name, port);
        return port;
      });
      last = next.catch(() => undefined);
      return next;
    },
    assigned: () => Object.fromEntries(assigned),
  };
}

/** True when nobody listens on 127.0.0.1:port. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}

/** Below what systems give to those who name no port: from 32768 on Linux does, from 49152 on macOS and Windows. */
const [LOWEST, BEYOND] = [20_000, 32_768];
const TRIES = 100;
const given = new Set<number>();

/**
 * A port on 127.0.0.1 that is free, and stays so until it is used, or while its server is started again: no connection is made from it,
 * and nobody else in this process gets it.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(LOWEST, BEYOND);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
  return anyPort();
}

/** One that was free a moment ago. */
function anyPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port: 0, host: "127.0.0.1" }, () => {
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("no port"));
      server.close(() => resolve(address.port));
    });
  });
}

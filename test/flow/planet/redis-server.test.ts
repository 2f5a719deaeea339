import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { freePort } from "../../../scripts/planet/ports.ts";
import { redisServer, redisUrl } from "../../../scripts/planet/redis-server.ts";
import { createBench } from "./bench-of-parts.ts";

test("what Redis answered for is there after kill -9, and nobody gets in without the password", async () => {
  await using bench = await createBench();
  const port = await freePort();
  const options = {
    name: "redis",
    dir: `${bench.dir}/redis`,
    port,
    password: "open 'sesame'",
    logFile: bench.log("redis"),
  };
  const server = await bench.supervisor.start({ ...redisServer(options), backoffMs: 10 });
  const redis = new Redis(redisUrl(port, options.password), { retryStrategy: () => 20 });
  redis.on("error", () => undefined);
  bench.onClose(() => redis.disconnect());
  await redis.xadd("jobs", "1-1", "job", "a");
  const before = server.pid;
  server.kill("SIGKILL");
  await expect
    .poll(() => server.state === "ready" && server.pid !== before, { timeout: 45_000 })
    .toBe(true);
  expect(await redis.xrange("jobs", "-", "+")).toEqual([["1-1", ["job", "a"]]]);
  expect(await redis.config("GET", "appendfsync")).toContain("always");

  const stranger = new Redis(port, "127.0.0.1", { lazyConnect: true, retryStrategy: () => null });
  stranger.on("error", () => undefined);
  bench.onClose(() => stranger.disconnect());
  await expect(stranger.get("jobs")).rejects.toThrow(/NOAUTH|Connection is closed/);
});

import { createServer } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { createPorts, freePort, isFree } from "../../../scripts/planet/ports.ts";

test("a free port is given once, and is none that connections are made from", async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()));
  expect(new Set(ports).size).toBe(50);
  // Where Linux begins to choose ports by itself; other systems begin later.
  expect(Math.max(...ports)).toBeLessThan(32_768);
});

test("a name keeps its port, until somebody else has it", async () => {
  const first = createPorts({}, { usePreferred: false });
  const [redis, again] = [await first.want("redis"), await first.want("redis")];
  expect(again).toBe(redis);
  expect(await createPorts(first.assigned()).want("redis")).toBe(redis);
  const other = createServer().listen(redis, "127.0.0.1");
  await once(other, "listening");
  try {
    expect(await isFree(redis)).toBe(false);
    expect(await createPorts(first.assigned()).want("redis")).not.toBe(redis);
  } finally {
    other.close();
  }
});

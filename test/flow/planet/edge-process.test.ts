import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { edgeProcess } from "../../../scripts/planet/edge-process.ts";
import { freePort } from "../../../scripts/planet/ports.ts";
import { regions } from "../../../shared/contracts/regions.ts";
import { createBench } from "./bench-of-parts.ts";

const root = resolve(import.meta.dirname, "../../..");

test("the edge runs from its wrangler.toml with the planet's bindings and geography, and keeps its objects over kill -9", async () => {
  await using bench = await createBench();
  const origin = createServer((_, response) => response.end("the origin"));
  origin.listen(0, "127.0.0.1");
  await once(origin, "listening");
  bench.onClose(() => origin.close());
  const port = await freePort();
  const home = regions.find(({ id }) => id === "eu-west");
  if (home === undefined) throw new Error("no such region");
  const spec = edgeProcess({
    root,
    stateDir: bench.dir,
    port,
    home,
    bindings: {
      ENVIRONMENT: "test",
      ORIGIN: `http://127.0.0.1:${(origin.address() as AddressInfo).port}`,
    },
    configFile: join(import.meta.dirname, "small-worker/wrangler.toml"),
  });
  const edge = await bench.supervisor.start({ ...spec, backoffMs: 10 });
  const ask = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  expect(JSON.parse(await ask("/"))).toEqual({
    GREETING: "from wrangler.toml",
    ENVIRONMENT: "test",
    latitude: String(home.lat),
    country: "IE",
    count: 1,
  });
  expect(await ask("/through")).toBe("the origin");
  await expect
    .poll(() => readFileSync(join(bench.dir, "logs/edge.log"), "utf8"))
    .toContain("a line of the worker's");

  const before = edge.pid;
  edge.kill("SIGKILL");
  await expect
    .poll(() => edge.state === "ready" && edge.pid !== before, { timeout: 60_000 })
    .toBe(true);
  expect(JSON.parse(await ask("/"))).toMatchObject({ count: 2 });
}, 120_000);

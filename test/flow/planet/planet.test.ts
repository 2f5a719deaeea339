import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { askPlanet } from "../../../scripts/planet/control-client.ts";
import { startPlanet } from "../../../scripts/planet/planet.ts";
import { PlanetRunsAlready } from "../../../scripts/planet/planet-lock.ts";
import { redisUrl } from "../../../scripts/planet/redis-server.ts";
import { regions } from "../../../shared/contracts/regions.ts";
import { createBench } from "./bench-of-parts.ts";

const root = resolve(import.meta.dirname, "../../..");
const small = {
  regions: regions.slice(0, 2),
  environment: "test",
  usePreferredPorts: false,
} as const;

test("a planet boots, is alone in its folder, heeds only who knows its token, loses and regains a region, and ends whole", async () => {
  await using bench = await createBench();
  const stateDir = join(bench.dir, "state");
  const planet = await startPlanet({ ...small, stateDir });
  bench.onClose(() => planet.stop());
  const id = planet.regions.keys().next().value ?? "";

  expect(planet.status().regions.map(({ state }) => state)).toEqual(["up", "up"]);
  expect((await fetch(`${planet.urls.edge}/healthz`)).status).toBe(200);
  expect(statSync(join(stateDir, "planet.json")).mode & 0o777).toBe(0o600);
  expect(statSync(join(stateDir, "credentials.json")).mode & 0o777).toBe(0o600);
  await expect(startPlanet({ ...small, stateDir })).rejects.toThrow(PlanetRunsAlready);

  const stranger = await fetch(`${planet.control.url}/stop`, {
    method: "POST",
    headers: { authorization: "Bearer x" },
  });
  expect(stranger.status).toBe(401);
  expect(await askPlanet(stateDir, "GET", "/status")).toMatchObject({
    regions: [{ id, state: "up" }, { state: "up" }],
  });
  await expect(askPlanet(stateDir, "POST", "/regions/nowhere/down")).rejects.toThrow(
    "no such region",
  );

  const cut = { match: `edge->${id}:api`, change: { kind: "cut", how: "reset" } };
  expect(await askPlanet(stateDir, "POST", "/links", cut)).toMatchObject([{ state: "reset" }]);
  await askPlanet(stateDir, "POST", "/links", { match: id, change: { kind: "restore" } });
  expect(planet.status().links.every(({ state }) => state === "open")).toBe(true);

  const { redisPort, redisPassword } = planet.databases[id] ?? { redisPort: 0, redisPassword: "" };
  const redis = new Redis(redisUrl(redisPort, redisPassword), { retryStrategy: () => 50 });
  redis.on("error", () => undefined);
  bench.onClose(() => redis.disconnect());
  await redis.set("kept", "yes");
  expect(await askPlanet(stateDir, "POST", `/regions/${id}/down`)).toMatchObject({ state: "down" });
  await expect(fetch(planet.urls.regions[id]?.api ?? "")).rejects.toThrow();
  expect(
    planet
      .status()
      .regions[0]?.processes.every(({ state, pid }) => state === "down" && pid === null),
  ).toBe(true);
  expect(await askPlanet(stateDir, "POST", `/regions/${id}/up`)).toMatchObject({ state: "up" });
  expect(await redis.get("kept")).toBe("yes");

  await planet.stop();
  expect(readdirSync(join(stateDir, "pids"))).toEqual([]);
  expect(existsSync(join(stateDir, "credentials.json"))).toBe(false);
  await expect(askPlanet(stateDir, "GET", "/status")).rejects.toThrow(/no planet runs/);
}, 120_000);

test("Ctrl-C while the planet starts leaves nothing running, and the command ends well", async () => {
  await using bench = await createBench();
  const stateDir = join(bench.dir, "state");
  const child = spawn(
    process.execPath,
    [join(root, "scripts/planet/main.ts"), "--state", stateDir, "start"],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { PATH: process.env["PATH"] },
    },
  );
  bench.onClose(() => child.kill("SIGKILL"));
  const exit = once(child, "exit");
  await expect
    .poll(() => existsSync(join(stateDir, "pids")) && readdirSync(join(stateDir, "pids")).length, {
      timeout: 30_000,
    })
    .toBeGreaterThan(0);
  child.kill("SIGINT");
  expect(await exit).toEqual([0, null]);
  expect(readdirSync(join(stateDir, "pids"))).toEqual([]);
}, 120_000);

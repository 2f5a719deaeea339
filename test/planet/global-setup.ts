import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startPlanet } from "../../scripts/planet/planet.ts";

/** What the tests know of the planet that runs for them. */
export interface PlanetUnderTest {
  edge: string;
  control: { url: string; token: string };
  keys: { demo: string; operator: string };
  regions: Record<string, { api: string; objects: string }>;
  databases: Record<string, { postgres: string; redisPort: number; redisPassword: string }>;
  stateDir: string;
}

declare module "vitest" {
  interface ProvidedContext {
    planet: PlanetUnderTest;
  }
}

/** Boots one planet for all files under test/planet, on free ports and in a folder of its own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stateDir = await mkdtemp(join(tmpdir(), "antiphon-planet-"));
  const planet = await startPlanet({
    stateDir,
    usePreferredPorts: false,
    environment: "test",
    onProgress: ({ step, state }) => {
      if (state === "done") process.stderr.write(`planet: ${step}\n`);
    },
  });
  project.provide("planet", {
    edge: planet.urls.edge,
    control: { url: planet.control.url, token: planet.control.token },
    keys: { ...planet.keys },
    regions: planet.urls.regions,
    databases: { ...planet.databases },
    stateDir,
  });
  return async () => {
    await planet.stop();
    await rm(stateDir, { recursive: true, force: true });
  };
}

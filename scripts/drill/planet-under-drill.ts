import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askPlanet } from "../planet/control-client.ts";
import { planetHolder } from "../planet/planet-lock.ts";
import { startPlanet } from "../planet/planet.ts";
import type { PlanetConnections } from "../planet/planet-controls.ts";

/** A planet that is to be drilled: its own connections, and the control by which faults are inflicted. */
export interface PlanetUnderDrill extends PlanetConnections {
  /** A call to the planet's control. */
  control(path: string, body?: object): Promise<unknown>;
  stateDir: string;
  /** Stops it, if it was started for the drill. */
  close(): Promise<void>;
}

export interface OpenPlanetOptions {
  /** Of a planet that may run. */
  stateDir: string;
  /** Start one for this drill, also when one runs. `prepare` is given its folder before it starts. */
  own: boolean;
  prepare?: ((stateDir: string) => Promise<() => Promise<void>>) | undefined;
  workersPerRegion: number;
  /** The region next to which the clients of a planet of its own sit: most requests go there. */
  clientsNear: string;
  signal: AbortSignal;
  say(line: string): void;
}

/** The planet that runs in a folder; or, when none does, one of its own that ends with the drill. */
export async function openPlanet(options: OpenPlanetOptions): Promise<PlanetUnderDrill> {
  const { stateDir, own, prepare, workersPerRegion, clientsNear, signal, say } = options;
  if (!own && planetHolder(stateDir) !== undefined) {
    const connections = (await askPlanet(stateDir, "GET", "/connections")) as PlanetConnections;
    return {
      ...connections,
      stateDir,
      control: (path, body = {}) => askPlanet(stateDir, "POST", path, body),
      close: async () => undefined,
    };
  }
  say("Starting a planet for the drill");
  const folder = await mkdtemp(join(tmpdir(), "antiphon-drill-"));
  const undo: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const unwind = async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  };
  try {
    if (prepare) undo.push(await prepare(folder));
    const planet = await startPlanet({
      stateDir: folder,
      usePreferredPorts: false,
      environment: "test",
      workersPerRegion,
      edgeHome: clientsNear,
      signal,
      onEvent: () => undefined,
    });
    undo.push(() => planet.stop());
    return {
      ...planet.connections(),
      stateDir: folder,
      control: (path, body = {}) => askPlanet(folder, "POST", path, body),
      close: unwind,
    };
  } catch (error) {
    await unwind();
    throw error;
  }
}

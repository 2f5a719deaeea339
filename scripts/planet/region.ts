import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DatabaseAgent } from "./database-agent.ts";
import type { PostgresServer } from "./postgres-server.ts";
import type { Upstream } from "./postgres-settings.ts";
import { saysReady } from "./probe.ts";
import { type RegionPlan, regionProcesses } from "./region-processes.ts";
import type { ProcessSpec } from "./supervised-process.ts";
import type { ProcessStatus, Supervisor } from "./supervisor.ts";
import { waitFor } from "./wait-for.ts";

export type RegionStatus = {
  id: string;
  /** down: taken down on purpose, or never started. degraded: meant to be up, and not all of it is. */
  state: "up" | "down" | "degraded" | "starting";
  processes: ProcessStatus[];
};

/** Everything of one region. Each step can be called again when it was undone. */
export type PlanetRegion = {
  readonly id: string;
  /**
   * Postgres, made first if it has to be. A replica needs its primary to run when it is made. A primary is started by its keeper, once it
   * is permitted; here only if it is permitted already.
   */
  startDatabase(signal?: AbortSignal): Promise<void>;
  /** Redis and the object store. */
  startStores(signal?: AbortSignal): Promise<void>;
  /** Keeper, API, workers: resolves when they are alive. */
  startServices(signal?: AbortSignal): Promise<void>;
  /** Resolves when each service says that it can serve. */
  untilReady(signal?: AbortSignal): Promise<void>;
  stopServices(): Promise<void>;
  stopStores(): Promise<void>;
  stopDatabase(): Promise<void>;
  /** All at once by SIGKILL, as a disaster would; stays down. */
  takeDown(): Promise<void>;
  /** Removes all that a region that is down has on disk, as if its disks were gone for good. */
  loseDisks(): Promise<void>;
  status(): RegionStatus;
};

export type PlanetRegionOptions = {
  plan: RegionPlan;
  supervisor: Supervisor;
  postgres: PostgresServer;
  agent: Pick<DatabaseAgent, "isPermitted" | "hold">;
  /** For a replica: the primary, and where this region reaches it; undefined for the primary itself. Promotions change it. */
  follows: () => { primary: PostgresServer; upstream: Upstream } | undefined;
  readyTimeoutMs?: number;
};

export function createPlanetRegion(options: PlanetRegionOptions): PlanetRegion {
  const { plan, supervisor, postgres, agent, follows, readyTimeoutMs = 90_000 } = options;
  const { id } = plan.region;
  const { stores, services, readyUrls } = regionProcesses(plan);
  const database = postgres.spec(() => follows()?.upstream);
  const names = [database, ...stores, ...services].map(({ name }) => name);
  let wanted = false;

  const find = (specs: ProcessSpec[]) =>
    specs.map(({ name }) => supervisor.find(name)).filter((process) => process !== undefined);
  const startAll = async (specs: ProcessSpec[], signal: AbortSignal | undefined) => {
    wanted = true;
    const down = specs.filter(({ name }) => (supervisor.find(name)?.state ?? "down") === "down");
    await Promise.all(down.map((spec) => supervisor.start(spec, signal)));
  };
  const stopAll = async (specs: ProcessSpec[]) => {
    await Promise.all(find(specs).map((process) => process.stop()));
  };

  return {
    id,
    async startDatabase(signal) {
      const leader = follows();
      if (leader === undefined) {
        await postgres.initPrimary();
        if (!agent.isPermitted()) {
          wanted = true;
          agent.hold();
          return;
        }
        await startAll([database], signal);
        await postgres.ensureDatabase();
      } else {
        await makeReplica(postgres, leader);
        await startAll([database], signal);
      }
    },
    startStores: (signal) => startAll(stores, signal),
    async startServices(signal) {
      await mkdir(join(plan.stateDir, "regions", id, "scratch"), { recursive: true });
      await startAll(services, signal);
    },
    async untilReady(signal) {
      await Promise.all(
        Object.entries(readyUrls).map(([name, url]) =>
          waitFor(saysReady(name, url), {
            what: `${name} to be ready`,
            timeoutMs: readyTimeoutMs,
            everyMs: 100,
            signal,
          }),
        ),
      );
    },
    async stopServices() {
      wanted = false;
      await stopAll(services);
    },
    stopStores: () => stopAll(stores),
    stopDatabase: () => stopAll([database]),
    async takeDown() {
      wanted = false;
      await Promise.all(
        find([...services, ...stores, database]).map((process) => process.takeDown()),
      );
    },
    async loseDisks() {
      if (wanted) throw new Error(`${id} is not down`);
      await rm(join(plan.stateDir, "regions", id), { recursive: true, force: true });
      await rm(postgres.dataDir, { recursive: true, force: true });
    },
    status() {
      const processes = supervisor.status().filter(({ name }) => names.includes(name));
      const ready = processes.filter(({ state }) => state === "ready").length;
      const starting = processes.some(
        ({ state, restarts }) => state === "starting" && restarts === 0,
      );
      if (!wanted) return { id, state: "down", processes };
      const state = ready === names.length ? "up" : starting ? "starting" : "degraded";
      return { id, state, processes };
    },
  };
}

/** A replica that is there can start without its primary; one that is not has to wait for it. */
async function makeReplica(
  postgres: PostgresServer,
  { primary, upstream }: { primary: PostgresServer; upstream: Upstream },
): Promise<void> {
  try {
    await postgres.createReplica(primary, upstream);
  } catch (error) {
    // What is no replica must not run beside a primary.
    if (!postgres.isStandby()) throw error;
  }
}

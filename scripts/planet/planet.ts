import { join, resolve } from "node:path";
import { rmSync } from "node:fs";
import { type Region, regions as allRegions } from "../../shared/contracts/regions.ts";
import { defaultTimes } from "../../shared/policies/primary.ts";
import { type Addresses, EDGE_PORT, localUrl, regionPorts } from "./addresses.ts";
import { type ControlServer, createControlServer } from "./control-server.ts";
import { createDatabaseAgent } from "./database-agent.ts";
import { agentToken, createDatabaseAgentsServer } from "./database-agents-server.ts";
import { edgeProcess } from "./edge-process.ts";
import { linkName, listLinks } from "./links.ts";
import { closeLinks, openLinks, portOfLink } from "./open-links.ts";
import { lockPlanet } from "./planet-lock.ts";
import {
  firstTenants,
  loadState,
  type PlanetState,
  saveState,
  writePrivately,
} from "./planet-state.ts";
import { createPorts } from "./ports.ts";
import { createPostgresCluster } from "./postgres-cluster.ts";
import { createPostgresServer } from "./postgres-server.ts";
import type { PlanetControls } from "./planet-controls.ts";
import { createPlanetRegion } from "./region.ts";
import { edgeBindings } from "./region-processes.ts";
import type { ProcessEvent } from "./supervised-process.ts";
import { createSupervisor } from "./supervisor.ts";

export type PlanetOptions = {
  /** Where everything is kept; default `.antiphon` in the checkout. */
  stateDir?: string;
  regions?: readonly Region[];
  /** The region with Postgres's primary; default the first. */
  primary?: string;
  /** The region next to which edge and clients sit; default the first. */
  edgeHome?: string;
  workersPerRegion?: number;
  workerConcurrency?: number;
  environment?: "development" | "test";
  logLevel?: string;
  /** False keeps a second planet off the well-known ports. */
  usePreferredPorts?: boolean;
  /** Told of each step of the start. */
  onProgress?: (step: ProgressStep) => void;
  /** Told when a process died, and when it is back. */
  onEvent?: (event: ProcessEvent) => void;
  signal?: AbortSignal;
};

export type ProgressStep = { step: string; state: "started" | "done" };

export type Planet = PlanetControls & {
  readonly stateDir: string;
  readonly urls: {
    edge: string;
    control: string;
    regions: Record<string, { api: string; objects: string; keeper: string; workers: string[] }>;
  };
  readonly keys: { demo: string; operator: string };
  /** Straight to each region's Postgres (as role `antiphon`) and Redis, for tests and drills that look behind the API. */
  readonly databases: Record<
    string,
    { postgres: string; redisPort: number; redisPassword: string }
  >;
  readonly control: Pick<ControlServer, "url" | "token">;
  /** Resolves when the planet was stopped, by whomever. */
  readonly stopped: Promise<void>;
};

const ROOT = resolve(import.meta.dirname, "../..");

/**
 * Boots the whole planet: for each region Postgres, Redis, object store, keeper, API and workers, the links between
 * them, and the edge. What an earlier run left in `stateDir` is taken up again. Whatever fails, nothing is left running.
 *
 * @throws PlanetRunsAlready; or the first failure of a part, which names the part's log
 */
export async function startPlanet(options: PlanetOptions = {}): Promise<Planet> {
  const { regions = allRegions, environment = "development", logLevel = "info" } = options;
  const { workersPerRegion = 1, workerConcurrency = 2, usePreferredPorts = true } = options;
  const { onProgress = () => undefined, onEvent = () => undefined, signal } = options;
  const stateDir = resolve(options.stateDir ?? join(ROOT, ".antiphon"));
  const first = regions[0];
  if (first === undefined) throw new Error("a planet needs a region");
  const home = regions.find(({ id }) => id === (options.edgeHome ?? first.id)) ?? first;

  const unlock = lockPlanet(stateDir);
  const undo: (() => unknown)[] = [unlock];
  const unwind = async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  };
  // One part that fails ends the waiting of all others.
  const failed = new AbortController();
  const within = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  async function step(name: string, work: () => Promise<unknown>): Promise<void> {
    within.throwIfAborted();
    onProgress({ step: name, state: "started" });
    try {
      await work();
    } catch (error) {
      failed.abort(error);
      throw error;
    }
    onProgress({ step: name, state: "done" });
  }

  try {
    const supervisor = createSupervisor({ stateDir, onEvent });
    await supervisor.cleanStale();
    const state = await loadState(
      stateDir,
      regions.map(({ id }) => id),
    );
    const firstPrimary = state.primary ?? options.primary ?? first.id;
    const ports = createPorts(state.ports, { usePreferred: usePreferredPorts });
    const edgePort = await ports.want("edge", EDGE_PORT);
    const serverPorts = await regionPorts(ports, regions, workersPerRegion);

    const links = await openLinks(listLinks(regions, home.id), {
      ports,
      targetOf: ({ to, service }) => (service === "edge" ? edgePort : serverPorts[to]?.[service]),
    });
    undo.push(() => closeLinks(links));
    const addresses: Addresses = {
      edge: edgePort,
      regions: serverPorts,
      linkPort: (from, to, service) => portOfLink(links, linkName(from, to, service)),
    };

    let kept: PlanetState = state;
    const cluster = createPostgresCluster({
      servers: new Map(
        regions.map(({ id }) => [
          id,
          createPostgresServer({
            name: `${id}-postgres`,
            dir: join(stateDir, "regions", id, "postgres", "data"),
            port: serverPorts[id]?.postgres ?? 0,
            passwords: state.postgres,
            logFile: join(stateDir, "logs", `${id}-postgres.log`),
          }),
        ]),
      ),
      primary: firstPrimary,
      portTo: (from, to) => addresses.linkPort(from, to, "postgres"),
      async onPrimary(id) {
        kept = { ...kept, primary: id };
        await saveState(stateDir, kept);
      },
    });
    const agents = new Map(
      regions.map(({ id }) => {
        const name = `${id}-postgres`;
        const onLapse = () =>
          onEvent({ kind: "stopped", name, why: "its permit to be the primary is running out" });
        return [id, createDatabaseAgent(id, { cluster, supervisor, onLapse })];
      }),
    );
    const agentsPort = await ports.want("database-agents");
    const { controlToken } = state;
    const agentsServer = await createDatabaseAgentsServer({
      agents,
      controlToken,
      port: agentsPort,
    });
    undo.push(async () => {
      await agentsServer.close();
      await Promise.all(Array.from(agents.values(), (agent) => agent.close()));
    });

    const shared = {
      regions,
      primary: firstPrimary,
      root: ROOT,
      stateDir,
      state,
      addresses,
      environment,
      logLevel,
      workerConcurrency,
    };
    const tenants = await firstTenants(state);
    const planetRegions = new Map(
      regions.map((region) => {
        const { id } = region;
        const token = agentToken(controlToken, id);
        const databaseAgent = { url: `${localUrl(agentsPort)}/${id}`, token };
        const bootstrapTenants = id === firstPrimary ? tenants : undefined;
        const made = createPlanetRegion({
          plan: { ...shared, region, databaseAgent, bootstrapTenants },
          supervisor,
          postgres: cluster.server(id),
          agent: agents.get(id)!,
          follows: () => cluster.follows(id),
        });
        return [id, made] as const;
      }),
    );
    const all = Array.from(planetRegions.values());
    const head = planetRegions.get(firstPrimary);
    if (head === undefined) {
      throw new Error(`the primary cannot be in ${firstPrimary}: no such region`);
    }
    const replicas = all.filter((region) => region !== head);

    undo.push(async () => {
      const edge = supervisor.find("edge");
      // Replicas before the primary, which otherwise waits for them to have everything.
      await Promise.allSettled([edge?.stop(), ...all.map((region) => region.stopServices())]);
      const last = planetRegions.get(cluster.primary());
      await Promise.allSettled([
        ...all.map((region) => region.stopStores()),
        ...all.filter((region) => region !== last).map((region) => region.stopDatabase()),
      ]);
      await last?.stopDatabase();
      await supervisor.stopAll();
    });

    const edgeUrl = localUrl(edgePort);
    const edge = edgeProcess({
      root: ROOT,
      stateDir,
      port: edgePort,
      home,
      bindings: edgeBindings(shared, edgeUrl),
    });
    const startEdge = () =>
      step("edge: the Worker, built and under workerd", () => supervisor.start(edge, within));
    const startRegions = async () => {
      // All servers are down, and this one was promoted last. What is made and mended needs it before there are keepers.
      agents.get(firstPrimary)?.permitFor(Number.POSITIVE_INFINITY);
      // The edge too before the services: a keeper that cannot ask for the primary's lease stops the primary.
      await settleAll([
        startEdge(),
        (async () => {
          await step(`${firstPrimary}: Postgres, the primary`, () => head.startDatabase(within));
          await settleAll(
            replicas.map((region) =>
              step(`${region.id}: Postgres, a replica`, () => region.startDatabase(within)),
            ),
          );
        })(),
        ...all.map((region) =>
          step(`${region.id}: Redis and objects`, () => region.startStores(within)),
        ),
      ]);
      agents.get(firstPrimary)?.permitFor(defaultTimes.leaseMs);
      await settleAll(
        all.map((region) =>
          step(`${region.id}: keeper, API and workers`, async () => {
            await region.startServices(within);
            await region.untilReady(within);
          }),
        ),
      );
    };
    await startRegions();

    let stopping: Promise<void> | undefined;
    const stopped = Promise.withResolvers<void>();
    const stop = () => {
      stopping ??= unwind().then(stopped.resolve, (error: unknown) => {
        stopped.reject(error);
        throw error;
      });
      return stopping;
    };
    stopped.promise.catch(() => undefined);

    const databases = Object.fromEntries(
      regions.map(({ id }) => [
        id,
        {
          postgres: cluster.server(id).url(),
          redisPort: serverPorts[id]?.redis ?? 0,
          redisPassword: state.regions[id]?.redis ?? "",
        },
      ]),
    );
    const planet: Planet = {
      stateDir,
      urls: {
        edge: edgeUrl,
        control: "",
        regions: Object.fromEntries(
          Object.entries(serverPorts).map(([id, own]) => {
            const workers = own.workers.map(localUrl);
            return [
              id,
              {
                api: localUrl(own.api),
                objects: localUrl(own.objects),
                keeper: localUrl(own.keeper),
                workers,
              },
            ];
          }),
        ),
      },
      keys: state.apiKeys,
      databases,
      connections: () => ({
        edge: edgeUrl,
        keys: state.apiKeys,
        primary: cluster.primary(),
        databases,
      }),
      control: { url: "", token: state.controlToken },
      regions: planetRegions,
      links,
      supervisor,
      status: () => ({
        edge: { url: edgeUrl, process: supervisor.status().find(({ name }) => name === "edge") },
        regions: all.map((region) => region.status()),
        links: Array.from(links.values(), (proxy) => proxy.stats()),
      }),
      async bringUp(id, until) {
        const region = planetRegions.get(id);
        if (region === undefined) throw new Error(`there is no region ${id}`);
        await Promise.all([region.startDatabase(until), region.startStores(until)]);
        await region.startServices(until);
        await region.untilReady(until);
      },
      stopped: stopped.promise,
      stop,
    };
    const control = await createControlServer({
      planet,
      token: state.controlToken,
      port: await ports.want("control"),
    });
    undo.push(() => control.close());
    const whole: Planet = { ...planet, control, urls: { ...planet.urls, control: control.url } };

    kept = { ...kept, ports: ports.assigned() };
    await saveState(stateDir, kept);
    const credentials = join(stateDir, "credentials.json");
    const { demo, operator } = state.apiKeys;
    await writePrivately(credentials, { url: edgeUrl, api_key: demo, admin_key: operator });
    undo.push(() => rmSync(credentials, { force: true }));
    return whole;
  } catch (error) {
    await unwind();
    throw error;
  }
}

/** Waits for all, even when one fails: what is still starting has to be known before it can be stopped. */
async function settleAll(works: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(works);
  await Promise.all(works);
}

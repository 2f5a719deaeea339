import { join, resolve } from "node:path";
import { findRegion, type Region } from "../../shared/contracts/regions.ts";
import type { BootstrapTenants } from "../../regions/config.ts";
import { type Addresses, localUrl, type RegionPorts } from "./addresses.ts";
import type { PlanetState, RegionSecrets } from "./planet-state.ts";
import { DATABASE, SERVICES } from "./postgres-settings.ts";
import { answers } from "./probe.ts";
import { redisServer, redisUrl } from "./redis-server.ts";
import { replicationOf } from "./replication-of.ts";
import type { ProcessSpec } from "./supervised-process.ts";
import { workerEnvironment } from "../../regions/worker-environment.ts";

/** What a region's processes are made from. */
export type RegionPlan = {
  region: Region;
  regions: readonly Region[];
  primary: string;
  root: string;
  stateDir: string;
  state: PlanetState;
  addresses: Addresses;
  environment: "development" | "test";
  logLevel: string;
  workerConcurrency: number;
  /** The agent of the region's Postgres. */
  databaseAgent: { url: string; token: string };
  /** Only for the primary's region. */
  bootstrapTenants?: BootstrapTenants | undefined;
};

/** The region's processes save Postgres, and the URLs where each says whether it can serve. */
export type RegionProcesses = {
  stores: ProcessSpec[];
  services: ProcessSpec[];
  readyUrls: Record<string, string>;
};

export const bucketOf = (id: string) => `antiphon-${id}`;

/** How to run the processes of a region; regions/config.ts is the contract for their environment. */
export function regionProcesses(plan: RegionPlan): RegionProcesses {
  const { region, root, stateDir, addresses } = plan;
  const { id } = region;
  const ports = portsOf(plan, id);
  const secrets = secretsOf(plan, id);
  const home = join(stateDir, "regions", id);
  const logFile = (name: string) => join(stateDir, "logs", `${name}.log`);

  const common = {
    ANTIPHON_ENV: plan.environment,
    ANTIPHON_REGION: id,
    LOG_LEVEL: plan.logLevel,
    REDIS_URL: redisUrl(ports.redis, secrets.redis),
    S3_ENDPOINT: localUrl(ports.objects),
    S3_BUCKET: bucketOf(id),
    S3_ACCESS_KEY_ID: secrets.objects.accessKeyId,
    S3_SECRET_ACCESS_KEY: secrets.objects.secretAccessKey,
  };
  const database = {
    DATABASE_URL: databaseUrl(plan, hostsSeenFrom(plan, id)),
    DATABASE_REPLICA_URL: databaseUrl(plan, [`127.0.0.1:${ports.postgres}`]),
  };
  const link = {
    EDGE_URL: localUrl(addresses.linkPort(id, "edge", "edge")),
    LINK_SECRETS: secrets.link,
  };
  const webhooks = { WEBHOOK_KEYS: plan.state.webhookKey };
  const service = (
    kind: string,
    entry: string,
    port: number,
    env: Record<string, string>,
  ): ProcessSpec => {
    const name = `${id}-${kind}`;
    return {
      name,
      logFile: logFile(name),
      graceMs: 15_000,
      command: () => ({
        command: process.execPath,
        args: [join(root, entry)],
        cwd: root,
        env: { ...common, ...compileCache(root), ...env },
      }),
      // Alive is enough: one that waits for another server must not be killed for that.
      ready: answers(`${localUrl(port)}/healthz`),
    };
  };

  const objects = `${id}-objects`;
  const tenants = plan.bootstrapTenants;
  return {
    stores: [
      redisServer({
        name: `${id}-redis`,
        dir: join(home, "redis"),
        port: ports.redis,
        password: secrets.redis,
        logFile: logFile(`${id}-redis`),
      }),
      {
        name: objects,
        logFile: logFile(objects),
        command: () => ({
          command: process.execPath,
          args: [join(root, "scripts/planet/object-store/serve-object-store.ts")],
          cwd: root,
          env: { ...compileCache(root), ...objectStoreEnvironment(plan, join(home, "objects")) },
        }),
        ready: answers(`${localUrl(ports.objects)}/-/healthz`),
      },
    ],
    services: [
      service("keeper", "regions/run-keeper.ts", ports.keeper, {
        ...database,
        ...link,
        ...webhooks,
        PUBLIC_URL: localUrl(addresses.edge),
        OPS_PORT: String(ports.keeper),
        DATABASE_AGENT_URL: plan.databaseAgent.url,
        DATABASE_AGENT_TOKEN: plan.databaseAgent.token,
        ...(tenants === undefined ? {} : { BOOTSTRAP_TENANTS: JSON.stringify(tenants) }),
      }),
      service("api", "regions/serve-api.ts", ports.api, {
        ...database,
        ...link,
        ...webhooks,
        PORT: String(ports.api),
        ...modelSettings(),
      }),
      ...ports.workers.map((port, at) =>
        service(`worker-${at + 1}`, "regions/run-worker.ts", port, {
          ...workerEnvironment,
          ...webhooks,
          OPS_PORT: String(port),
          WORKER_ID: `${id}-${at + 1}`,
          WORKER_CONCURRENCY: String(plan.workerConcurrency),
          SCRATCH_DIR: join(home, "scratch"),
          ...modelSettings(),
        }),
      ),
    ],
    readyUrls: {
      [`${id}-keeper`]: `${localUrl(ports.keeper)}/readyz`,
      [`${id}-api`]: `${localUrl(ports.api)}/readyz`,
      ...Object.fromEntries(
        ports.workers.map((port, at) => [`${id}-worker-${at + 1}`, `${localUrl(port)}/readyz`]),
      ),
    },
  };
}

function portsOf({ addresses }: RegionPlan, id: string): RegionPorts {
  const ports = addresses.regions[id];
  if (ports === undefined) throw new Error(`region ${id} has no ports`);
  return ports;
}

function secretsOf({ state }: RegionPlan, id: string): RegionSecrets {
  const secrets = state.regions[id];
  if (secrets === undefined) throw new Error(`region ${id} has no secrets`);
  return secrets;
}

/** Every server of the cluster as a region sees it: its own straight, the others over its links; the primary first. */
function hostsSeenFrom(plan: RegionPlan, id: string): string[] {
  const { regions, primary, addresses } = plan;
  const others = regions.filter((region) => region.id !== primary).map((region) => region.id);
  return [primary, ...others].map((other) => {
    const own = other === id;
    return `127.0.0.1:${own ? portsOf(plan, id).postgres : addresses.linkPort(id, other, "postgres")}`;
  });
}

function databaseUrl({ state }: RegionPlan, hosts: string[]): string {
  const login = `${SERVICES}:${encodeURIComponent(state.postgres.services)}`;
  return `postgres://${login}@${hosts.join(",")}/${DATABASE}`;
}

function objectStoreEnvironment(plan: RegionPlan, dataDir: string): Record<string, string> {
  const { region, regions, addresses, logLevel } = plan;
  const own = secretsOf(plan, region.id).objects;
  const others = regions.filter(({ id }) => id !== region.id);
  return {
    PORT: String(portsOf(plan, region.id).objects),
    DATA_DIR: dataDir,
    REGION: region.aws,
    ACCESS_KEY_ID: own.accessKeyId,
    SECRET_ACCESS_KEY: own.secretAccessKey,
    // Each region signs with its own credentials what it replicates to another.
    EXTRA_CREDENTIALS: JSON.stringify(others.map(({ id }) => secretsOf(plan, id).objects)),
    BUCKET: bucketOf(region.id),
    PEERS: JSON.stringify(
      others.map(({ id, aws }) => ({
        region: aws,
        endpoint: localUrl(addresses.linkPort(region.id, id, "objects")),
        bucket: bucketOf(id),
      })),
    ),
    REPLICATION: JSON.stringify(replicationOf(region, regions)),
    LOG_LEVEL: logLevel,
  };
}

/** What the edge is told of the regions: its secrets and where it, and clients, reach each one. */
export function edgeBindings(
  plan: Omit<RegionPlan, "region" | "databaseAgent">,
  publicUrl: string,
): Record<string, string> {
  const { regions, state, addresses, environment } = plan;
  const entries = <T>(of: (id: string) => T) =>
    Object.fromEntries(regions.map(({ id }) => [id, of(id)]));
  return {
    ENVIRONMENT: environment,
    PUBLIC_URL: publicUrl,
    PRIMARY_TAKEOVER: "automatic",
    LINK_SECRETS: JSON.stringify(entries((id) => [state.regions[id]?.link])),
    // One machine's worth: nobody shares it, and benches and drills are to meet the platform, not its limits.
    DEFAULT_LIMITS: JSON.stringify({ per_second: 2_000, per_minute: 100_000, in_flight: 2_000 }),
    RECEIPT_KEYS: JSON.stringify(state.receiptKey ? [state.receiptKey] : []),
    AUDIO_URL_KEYS: JSON.stringify({ current: "k1", secrets: { k1: state.audioUrlKey } }),
    REGION_ENDPOINTS: JSON.stringify(
      entries((id) => ({
        api: localUrl(addresses.linkPort("edge", id, "api")),
        objects: localUrl(addresses.linkPort("edge", id, "objects")),
        public_objects: localUrl(addresses.linkPort("client", id, "objects")),
        bucket: bucketOf(id),
        aws_region: findRegion(id)?.aws,
        access_key_id: state.regions[id]?.objects.accessKeyId,
        secret_access_key: state.regions[id]?.objects.secretAccessKey,
      })),
    ),
  };
}

/** Which models the API and the workers use and where they lie: as `npm run models` was told, in the same variables. */
function modelSettings(): Record<string, string> {
  const names = ["ANTIPHON_MODELS_DIR", "ANTIPHON_MODELS_MANIFEST"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined || value === "" ? [] : [[name, resolve(value)]];
    }),
  );
}

/** Compiled code is kept between starts: a dozen processes share most of what they load. */
export const compileCache = (root: string): Record<string, string> => ({
  NODE_COMPILE_CACHE: join(root, "node_modules/.cache/node-compile"),
});

import { findRegion } from "../shared/contracts/regions.ts";
import { KeeperConfig, readConfig } from "./config.ts";
import { createDeletions } from "./deletions/create-deletions.ts";
import { createRetention } from "./deletions/create-retention.ts";
import { firstConnection } from "./ops/first-connection.ts";
import { createLogger } from "./ops/logger.ts";
import { createMetrics } from "./ops/metrics.ts";
import { createOpsServer } from "./ops/ops-server.ts";
import { createReadiness } from "./ops/readiness.ts";
import { repeat } from "./ops/repeat.ts";
import { createSecretBox } from "./ops/secret-box.ts";
import { onShutdown } from "./ops/shutdown.ts";
import { createAgentControl } from "./primary/agent-control.ts";
import { createAskForOrders } from "./primary/ask-for-orders.ts";
import { keepPrimary } from "./primary/keep-primary.ts";
import { createRedisQueue } from "./queue/redis-queue.ts";
import { createWatchLoad } from "./queue/watch-load.ts";
import { createBatchWriter } from "./results/batch-writer.ts";
import { createDeletionOrders } from "./results/deletion-orders.ts";
import { createEdgeCompletions } from "./results/edge-completions.ts";
import { createEraseJobs } from "./results/erase-jobs.ts";
import { createOfferRelay } from "./results/offer-relay.ts";
import { createRedis } from "./results/redis.ts";
import { createResultCache } from "./results/result-cache.ts";
import { resultKeys } from "./results/result-keys.ts";
import { createSettleJobs } from "./results/settle-jobs.ts";
import { createTellSettled } from "./results/tell-settled.ts";
import { openResult } from "./results/sealed-result.ts";
import { createTombstones } from "./results/tombstones.ts";
import { createApiKeys } from "./store/api-keys.ts";
import { bootstrapTenants } from "./store/bootstrap.ts";
import { createDatabase } from "./store/database.ts";
import { createDatabaseDeletions } from "./store/deletions.ts";
import { createFinalJobs } from "./store/final-jobs.ts";
import { migrate } from "./store/migrate.ts";
import { createObjectStore } from "./store/object-store.ts";
import { createJobsRead } from "./store/jobs-read.ts";
import { keepPartitions } from "./store/partitions.ts";
import { openPool } from "./store/postgres-pool.ts";
import { waitForReplay } from "./store/replay.ts";
import { createRetentionStore } from "./store/retention.ts";
import { createTenants } from "./store/tenants.ts";
import { createUsageRollup } from "./store/usage-rollup.ts";
import { createWebhookDeliveries } from "./store/webhook-deliveries.ts";
import { createWebhookEndpoints } from "./store/webhook-endpoints.ts";
import { createWebhookKeeper } from "./webhooks/keep-webhooks.ts";
import { webhookKeys } from "./webhooks/webhook-keys.ts";

/*
 * The keeper of a region: takes jobs from dead workers, offers finished runs to the ledger, carries accepted ones into
 * Postgres, sends webhooks, and keeps the schema, its partitions and the first tenants in order. Whatever is away is waited for.
 */

const REAP_EVERY_MS = 500;
/** A migration may take long, and may wait for that of another region's keeper. */
const MIGRATION_MS = 300_000;
/** The keepers of all regions take turns: within the pause, one alone sums. */
const USAGE_EVERY_MS = 10_000;
const DELETIONS_EVERY_MS = 1_000;
const RETENTION_EVERY_MS = 3_600_000;
const SETTLE_EVERY_MS = 60_000;
/** A larger one lies in the bucket alone, as no cache takes it either. */
const MAX_RESULT_BYTES = 16 * 2 ** 20;
const PARTITIONS_EVERY_MS = 6 * 3600 * 1000;
/** A database that was restored from a backup shows for so long what was deleted since. */
const REPEAT_EVERY_MS = 3600 * 1000;

const config = readConfig(KeeperConfig, process.env);
const region = config.ANTIPHON_REGION;
const logger = createLogger("keeper", region, config.LOG_LEVEL);
const metrics = createMetrics();
const stop = new AbortController();
const { signal } = stop;
const edge = { edgeUrl: config.EDGE_URL, region, linkSecrets: config.LINK_SECRETS };

const redis = createRedis(config.REDIS_URL, (error) =>
  logger.debug({ err: error }, "redis is away"),
);
const queue = createRedisQueue({
  url: config.REDIS_URL,
  region,
  onError: (error) => logger.debug({ err: error }, "redis is away"),
});
const database = createDatabase({
  primaryUrl: config.DATABASE_URL,
  replicaUrl: config.DATABASE_REPLICA_URL,
  applicationName: `antiphon-keeper-${region}`,
});
const objects = createObjectStore({
  region,
  bucket: config.S3_BUCKET,
  endpoint: config.S3_ENDPOINT,
  accessKeyId: config.S3_ACCESS_KEY_ID,
  secretAccessKey: config.S3_SECRET_ACCESS_KEY,
});
const cache = createResultCache({
  redis,
  readObject: (key, maxBytes, signal) => objects.getText(key, maxBytes, signal ? { signal } : {}),
});
const finalJobs = createFinalJobs(database);
const relay = createOfferRelay({
  redis,
  offerCompletions: createEdgeCompletions(edge),
  deleteObject: (key, signal) => objects.delete(key, { signal }),
  cache,
  eraseUpload: (key, signal) => objects.eraseVersions(key, { signal }),
  webhooks: true,
  logger,
  metrics,
});
const writer = createBatchWriter({
  redis,
  target: {
    write: finalJobs.write,
    waitForReplay: (at, signal) => waitForReplay(database.primary, at, { signal }),
  },
  readResult: (key, signal) =>
    objects.getText(key, MAX_RESULT_BYTES, { signal }).catch((error: unknown) => {
      if (error instanceof RangeError) return undefined;
      throw error;
    }),
  logger,
  metrics,
});

const tombstones = createTombstones(redis);
const deletions = createDeletions({
  orders: createDeletionOrders(redis, tombstones),
  queue,
  redis: createEraseJobs(redis),
  tombstones,
  database: createDatabaseDeletions(database),
  objects,
  logger,
  metrics,
});

const secretBox = createSecretBox(config.WEBHOOK_KEYS);
const endpoints = createWebhookEndpoints(database, secretBox);
const webhooks = createWebhookKeeper({
  redis,
  region,
  endpoints: {
    target: endpoints.target,
    tenantSecrets: endpoints.tenantSecrets,
    subscriptions: endpoints.subscriptions,
    stop: (id, how) => endpoints.stop(id, how, { actor: `keeper:${region}` }, { signal }),
  },
  deliveries: {
    write: createWebhookDeliveries(database).write,
    waitForReplay: (at, until) => waitForReplay(database.primary, at, { signal: until }),
  },
  readResult: async (job, until) => {
    const found = await cache.read(job, until).catch(() => undefined);
    return found && JSON.stringify(found.result);
  },
  isDeleted: ({ tenant_id, job_id: id, facts: { created_at, user_id: userId } }) =>
    tombstones.covers(tenant_id, { id, createdAtMs: Date.parse(created_at), userId }),
  openResult: (jobId, sealed) => openResult(secretBox, jobId, sealed),
  publicUrl: config.PUBLIC_URL?.replace(/\/+$/, ""),
  allowLoopback: config.ANTIPHON_ENV !== "production",
  logger,
  metrics,
});

const retention = createRetention({
  region: findRegion(region)!,
  store: createRetentionStore(database),
  redis: createEraseJobs(redis),
  objects,
  logger,
  metrics,
});

const settling = createSettleJobs({
  region: findRegion(region)!,
  redis,
  rows: createJobsRead(database),
  tell: createTellSettled(edge),
  metrics,
});

const reaped = metrics.counter(
  "antiphon_reaped_total",
  "Runs taken from a worker whose lease was over.",
);
const lengths = metrics.gauge("antiphon_stream_entries", "Entries on a stream of this region.");
metrics.onScrape(async () => {
  const { offers, outbox, deadOffers, deadOutbox, webhooks: events } = resultKeys;
  const { rows, deadRows, deadEvents } = webhookKeys;
  const ofWebhooks = [events, rows, deadRows, deadEvents];
  for (const stream of [offers, outbox, deadOffers, deadOutbox, ...ofWebhooks]) {
    lengths.set(await redis.xlen(stream), { stream });
  }
});

const load = createWatchLoad({
  region,
  queue,
  metrics,
  onError: (error) => logger.debug({ err: error }, "cannot look at the queue now"),
});
const usage = createUsageRollup(database);

let schemaIsCurrent = false;
/** What is looked after in the database alone has nothing to do before; it ends too when the keeper is to stop. */
const schema = Promise.withResolvers<void>();
signal.addEventListener("abort", () => schema.resolve(), { once: true });
let tenantsAreThere = config.BOOTSTRAP_TENANTS === undefined;

async function keepSchema(): Promise<void> {
  const migrations = openPool({
    url: config.DATABASE_URL,
    primary: true,
    applicationName: `antiphon-migrations-${region}`,
    max: 1,
    statementTimeoutMs: MIGRATION_MS,
  });
  try {
    const ran = await migrate(migrations);
    if (ran.length > 0) logger.info({ migrations: ran }, "brought the schema up to date");
  } finally {
    await migrations.end({ timeout: 1 });
  }
  const { made, dropped } = await keepPartitions(database.primary, Date.now());
  if (made.length > 0) logger.info({ partitions: made }, "made partitions");
  if (dropped.length > 0) logger.info({ partitions: dropped }, "dropped partitions past retention");
  schemaIsCurrent = true;
  schema.resolve();
  if (!tenantsAreThere) {
    const stores = { tenants: createTenants(database), apiKeys: createApiKeys(database) };
    await bootstrapTenants(config.BOOTSTRAP_TENANTS ?? [], stores, stop.signal);
    tenantsAreThere = true;
    logger.info({ tenants: config.BOOTSTRAP_TENANTS?.length ?? 0 }, "the first tenants are there");
  }
}

async function reap(): Promise<void> {
  for (const { jobId, epoch, outcome } of await queue.reap()) {
    reaped.inc({ outcome });
    logger.warn(
      { job_id: jobId, epoch, outcome },
      "took a run from a worker that was silent for too long",
    );
  }
}

const ops = await createOpsServer({
  metrics,
  port: config.OPS_PORT,
  readiness: createReadiness({
    region,
    checks: {
      redis: () => redis.ping(),
      database: () => database.isReadable(),
      schema: async () => schemaIsCurrent,
      tenants: async () => tenantsAreThere,
    },
    load: async () => {
      const { waiting, running } = await queue.load();
      return { waiting_jobs: waiting, running_jobs: running };
    },
  }),
});

/** Looks after the region's own Postgres, where there is an agent to ask for it. */
async function keepDatabase(): Promise<void> {
  const { DATABASE_AGENT_URL: url, DATABASE_AGENT_TOKEN: token } = config;
  if (url === undefined || token === undefined) return;
  const control = createAgentControl({ url, token });
  const askForOrders = createAskForOrders(edge);
  await keepPrimary({ region, control, askForOrders, trimmed: writer.trimmed, logger }, signal);
}

/** Repeats work that needs the tables. */
async function keepRows(...work: Parameters<typeof repeat>): Promise<void> {
  await schema.promise;
  await repeat(...work);
}

// Else each loop would begin with a warning that Redis is away, at every start.
await firstConnection(redis);

const loops = Promise.all([
  relay.run(signal),
  keepDatabase(),
  writer.run(signal),
  webhooks.run(signal),
  load.run(signal),
  repeat(keepSchema, {
    everyMs: PARTITIONS_EVERY_MS,
    signal,
    onError: (error) => logger.warn({ err: error }, "cannot look after the schema now"),
  }),
  keepRows(() => usage.roll(USAGE_EVERY_MS), {
    everyMs: USAGE_EVERY_MS,
    signal,
    onError: (error) => logger.warn({ err: error }, "cannot sum usage now"),
  }),
  repeat(() => deletions.work(signal), {
    everyMs: DELETIONS_EVERY_MS,
    signal,
    onError: (error) => logger.warn({ err: error }, "cannot look for deletions now"),
  }),
  keepRows(() => retention.work(signal), {
    everyMs: RETENTION_EVERY_MS,
    signal,
    onError: (error) => logger.warn({ err: error }, "cannot look after retention now"),
  }),
  keepRows(() => settling.work(signal), {
    everyMs: SETTLE_EVERY_MS,
    signal,
    onError: (error) => logger.warn({ err: error }, "cannot tell of settled jobs now"),
  }),
  keepRows(() => deletions.repeat(signal), {
    everyMs: REPEAT_EVERY_MS,
    signal,
    onError: (error) => logger.warn({ err: error }, "cannot look for deleted jobs' rows now"),
  }),
  keepRows(() => deletions.prune(), {
    everyMs: PARTITIONS_EVERY_MS,
    signal,
    onError: (error) => logger.warn({ err: error }, "cannot prune tombstones now"),
  }),
  repeat(reap, {
    everyMs: REAP_EVERY_MS,
    signal,
    onError: (error) => logger.warn({ err: error }, "cannot look for silent workers now"),
  }),
]);

const fail = onShutdown(
  async () => {
    stop.abort(new Error("the keeper stops"));
    await loops;
    await Promise.allSettled([ops.close(), queue.close(), database.close()]);
    redis.disconnect();
    objects.close();
  },
  { logger },
);
loops.catch(fail);
logger.info({ ops_port: ops.port }, "the keeper runs");

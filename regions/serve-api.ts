import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { findRegion } from "../shared/contracts/regions.ts";
import { createApi } from "./api/create-api.ts";
import { createFinishAtAccept } from "./api/finish-at-accept.ts";
import { ApiConfig, readConfig } from "./config.ts";
import { createLogger } from "./ops/logger.ts";
import { createMetrics } from "./ops/metrics.ts";
import { createReadiness } from "./ops/readiness.ts";
import { createSecretBox } from "./ops/secret-box.ts";
import { onShutdown } from "./ops/shutdown.ts";
import { createRedisQueue } from "./queue/redis-queue.ts";
import { createJobHistory } from "./results/job-history.ts";
import { createDeletionOrders } from "./results/deletion-orders.ts";
import { createRedis } from "./results/redis.ts";
import { createResultCache } from "./results/result-cache.ts";
import { createStageCache } from "./results/stage-cache.ts";
import { createStagePlans } from "./results/stage-plans.ts";
import { createTombstones } from "./results/tombstones.ts";
import { createUsageOutbox } from "./results/usage-outbox.ts";
import { isDeclaredType } from "./speech/decode/check-declared-type.ts";
import { createInference } from "./speech/inference/create-inference.ts";
import { listEngines } from "./speech/list-engines.ts";
import { loadManifest } from "./speech/models/load-manifest.ts";
import { createSynthesizer } from "./speech/synthesis/create-synthesizer.ts";
import { createVoices } from "./speech/synthesis/create-voices.ts";
import { createApiKeys } from "./store/api-keys.ts";
import { createAuditLog } from "./store/audit-log.ts";
import { createDatabase } from "./store/database.ts";
import { createJobsRead } from "./store/jobs-read.ts";
import { createObjectStore } from "./store/object-store.ts";
import { createResultsRead } from "./store/results-read.ts";
import { createTenants } from "./store/tenants.ts";
import { createUsageRead } from "./store/usage-read.ts";
import { createUserHistory } from "./store/user-history.ts";
import { createWebhookDeliveries } from "./store/webhook-deliveries.ts";
import { createWebhookEndpoints } from "./store/webhook-endpoints.ts";
import { createAddressPolicy } from "./webhooks/address-policy.ts";
import { createRedeliver } from "./webhooks/redeliver.ts";

/*
 * The API of a region, for the edge alone. It starts whatever is away, and is ready once Redis, the object store and
 * this region's database server answer.
 */

const DRAIN_MS = 5000;

const config = readConfig(ApiConfig, process.env);
const region = findRegion(config.ANTIPHON_REGION)!;
const logger = createLogger("api", region.id, config.LOG_LEVEL);
const metrics = createMetrics();
const stopping = new AbortController();

const onRedisError = (error: Error) => logger.debug({ err: error }, "redis is away");
const redis = createRedis(config.REDIS_URL, onRedisError);
const queue = createRedisQueue({ url: config.REDIS_URL, region: region.id, onError: onRedisError });
const database = createDatabase({
  primaryUrl: config.DATABASE_URL,
  replicaUrl: config.DATABASE_REPLICA_URL,
  applicationName: `antiphon-api-${region.id}`,
});
const objects = createObjectStore({
  region: region.id,
  bucket: config.S3_BUCKET,
  endpoint: config.S3_ENDPOINT,
  accessKeyId: config.S3_ACCESS_KEY_ID,
  secretAccessKey: config.S3_SECRET_ACCESS_KEY,
});

const symbolsDropped = metrics.counter(
  "antiphon_speech_symbols_dropped_total",
  "Sounds that a voice's model has no symbol for, and that were left out.",
);
const manifest = () => loadManifest(config.ANTIPHON_MODELS_MANIFEST, config.ANTIPHON_MODELS_DIR);
const synthesizer = createSynthesizer({
  voices: createVoices({
    manifest,
    inference: createInference({
      budgetMb: config.MODEL_MEMORY_MB,
      threads: config.MODEL_THREADS,
      onUnload: (model) => logger.info({ model }, "a model made room for another"),
    }),
    onDropped: (count) => symbolsDropped.inc({}, count),
  }),
});

const tombstones = createTombstones(redis);
const results = createResultCache({
  redis,
  tombstones,
  readRow: createResultsRead(database),
  readObject: (key, maxBytes, signal) => objects.getText(key, maxBytes, signal ? { signal } : {}),
});
const finishAtAccept = createFinishAtAccept({
  region,
  objects,
  cache: {
    stages: createStageCache({
      redis,
      readObject: (key, maxBytes, signal) =>
        objects.getText(key, maxBytes, signal ? { signal } : {}),
      writeObject: (key, text, signal) =>
        objects.put(key, text, { contentType: "application/json", ...(signal ? { signal } : {}) }),
      logger,
      metrics,
    }),
    plans: createStagePlans({ redis }),
  },
  results,
  typeFits: isDeclaredType,
  logger,
  metrics,
});

const jobHistory = createJobHistory({
  redis,
  onError: (error) => logger.debug({ err: error }, "cannot read what jobs took"),
});
void jobHistory.run(stopping.signal);

const jobsWaiting = metrics.gauge("antiphon_jobs_waiting", "Jobs that wait in this region.");
const jobsRunning = metrics.gauge("antiphon_jobs_running", "Jobs that run in this region.");
metrics.onScrape(async () => {
  const { waiting, running } = await queue.load();
  jobsWaiting.set(waiting);
  jobsRunning.set(running);
});

const webhookDeliveries = createWebhookDeliveries(database);
const app = createApi({
  region,
  linkSecrets: config.LINK_SECRETS,
  queue,
  objects,
  finishAtAccept,
  jobHistory,
  speech: synthesizer,
  models: () => listEngines(manifest(), config.PATH),
  jobs: createJobsRead(database),
  usage: createUsageRead(database),
  recordUsage: createUsageOutbox({ redis, logger, metrics, signal: stopping.signal }),
  history: createUserHistory(database),
  apiKeys: createApiKeys(database),
  tenants: createTenants(database),
  webhooks: {
    endpoints: createWebhookEndpoints(database, createSecretBox(config.WEBHOOK_KEYS)),
    deliveries: webhookDeliveries,
    urlFault: createAddressPolicy({ allowLoopback: config.ANTIPHON_ENV !== "production" }).faultOf,
    redeliver: createRedeliver({ redis, findRow: webhookDeliveries.find }),
  },
  results,
  audit: createAuditLog(database),
  deletionOrders: createDeletionOrders(redis, tombstones),
  logger,
  metrics,
  readiness: createReadiness({
    region: region.id,
    checks: {
      redis: () => queue.ping(),
      objects: (signal) => objects.isReachable({ signal }),
      replica: () => database.isReadable(),
    },
    load: async () => {
      const { waiting, running } = await queue.load();
      return { waiting_jobs: waiting, running_jobs: running };
    },
  }),
});

const answer = getRequestListener(app.fetch);
const server = createServer(
  // A client that sends its body drop by drop must not hold a connection for minutes.
  { requestTimeout: 30_000, headersTimeout: 10_000 },
  (request, response) => void answer(request, response),
);
server.listen(config.PORT);
await once(server, "listening");

onShutdown(
  async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    const timer = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    try {
      await closed;
    } finally {
      clearTimeout(timer);
    }
    await Promise.allSettled([queue.close(), database.close(), synthesizer.close()]);
    stopping.abort();
    redis.disconnect();
    objects.close();
  },
  { logger },
);
logger.info({ port: (server.address() as AddressInfo).port }, "the API runs");

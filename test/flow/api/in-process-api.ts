import { createApi } from "../../../regions/api/create-api.ts";
import { createFinishAtAccept } from "../../../regions/api/finish-at-accept.ts";
import type { SpeechSource } from "../../../regions/api/speech-routes.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createReadiness } from "../../../regions/ops/readiness.ts";
import { createDeletionOrders } from "../../../regions/results/deletion-orders.ts";
import { createRedis } from "../../../regions/results/redis.ts";
import { createResultCache } from "../../../regions/results/result-cache.ts";
import { createStagePlans } from "../../../regions/results/stage-plans.ts";
import { createTombstones } from "../../../regions/results/tombstones.ts";
import { isDeclaredType } from "../../../regions/speech/decode/check-declared-type.ts";
import { createSynthesizer } from "../../../regions/speech/synthesis/create-synthesizer.ts";
import { createUsageOutbox } from "../../../regions/results/usage-outbox.ts";
import { createApiKeys } from "../../../regions/store/api-keys.ts";
import { createAuditLog, type AuditLog } from "../../../regions/store/audit-log.ts";
import { createDatabase } from "../../../regions/store/database.ts";
import { createJobsRead } from "../../../regions/store/jobs-read.ts";
import { createResultsRead } from "../../../regions/store/results-read.ts";
import { createTenants } from "../../../regions/store/tenants.ts";
import { createUsageRead } from "../../../regions/store/usage-read.ts";
import { createUserHistory } from "../../../regions/store/user-history.ts";
import { createWebhookDeliveries } from "../../../regions/store/webhook-deliveries.ts";
import { createWebhookEndpoints } from "../../../regions/store/webhook-endpoints.ts";
import { createSecretBox } from "../../../regions/ops/secret-box.ts";
import { createAddressPolicy } from "../../../regions/webhooks/address-policy.ts";
import { createRedeliver } from "../../../regions/webhooks/redeliver.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";
import { untilReady } from "../../support/redis.ts";
import { LINK_SECRET, REGION, silent, type RegionBench } from "./region-bench.ts";

/** The API over a bench's Redis and objects. Its database is away unless `databaseUrl` names one: it connects when asked. */
export async function inProcessApi(
  bench: RegionBench,
  {
    region = REGION,
    databaseUrl = "postgres://antiphon@127.0.0.1:1/antiphon",
    speech = undefined as SpeechSource | undefined,
    objects = bench.objects,
    audit: givenAudit = undefined as AuditLog | undefined,
  } = {},
) {
  const database = createDatabase({ primaryUrl: databaseUrl, replicaUrl: databaseUrl });
  const audit = givenAudit ?? createAuditLog(database);
  const redis = createRedis(bench.redis.url);
  // Until then it fails whatever is asked of it, and caches that are away are passed over.
  await untilReady(redis);
  const { queue } = bench;
  const synthesizer = createSynthesizer();
  const metrics = createMetrics();
  const tombstones = createTombstones(redis);
  const results = createResultCache({
    redis,
    tombstones,
    readRow: createResultsRead(database),
    readObject: (key, max) => objects.getText(key, max),
  });
  const finishAtAccept = createFinishAtAccept({
    region: findRegion(region)!,
    objects,
    cache: { stages: bench.stages, plans: createStagePlans({ redis }) },
    results,
    typeFits: isDeclaredType,
    logger: silent,
    metrics,
  });
  const app = createApi({
    region: findRegion(region)!,
    linkSecrets: [LINK_SECRET],
    queue,
    objects,
    finishAtAccept,
    speech: speech ?? synthesizer,
    models: () => ({ object: "list", data: [] }),
    jobs: createJobsRead(database),
    usage: createUsageRead(database),
    recordUsage: createUsageOutbox({ redis, logger: silent, metrics }),
    history: createUserHistory(database),
    apiKeys: createApiKeys(database),
    tenants: createTenants(database),
    webhooks: {
      endpoints: createWebhookEndpoints(database, createSecretBox([Buffer.alloc(32, 7)])),
      deliveries: createWebhookDeliveries(database),
      urlFault: createAddressPolicy({ allowLoopback: true }).faultOf,
      redeliver: createRedeliver({ redis, findRow: createWebhookDeliveries(database).find }),
    },
    results,
    audit,
    deletionOrders: createDeletionOrders(redis, tombstones),
    logger: silent,
    metrics,
    readiness: createReadiness({ region, checks: { redis: () => queue.ping() } }),
  });
  return {
    app,
    async close() {
      redis.disconnect();
      await Promise.all([database.close(), synthesizer.close()]);
    },
  };
}

import { createKeyDirectory, type KeyDirectory } from "./admit/key-directory.ts";
import { createHoldBody, type HoldBody } from "./admit/hold-body.ts";
import { createOnce, type Once } from "./admit/once.ts";
import {
  createRevocationList,
  createRevocationSource,
  type RevocationList,
} from "./admit/revocation-list.ts";
import type { Revocations } from "./admit/revocations.ts";
import { createCors } from "./admit/cors.ts";
import { createLeaseSource, createTenantGate, type TenantGate } from "./admit/tenant-gate.ts";
import type { TenantLimits } from "./admit/tenant-limits.ts";
import { createStrangers, type Strangers } from "./admit/strangers.ts";
import { createTokenDirectory, type TokenDirectory } from "./admit/token-directory.ts";
import { createDeliverAudio, type DeliverAudio } from "./deliver/audio-delivery.ts";
import { createDescribeJob, type DescribeJob } from "./deliver/describe-job.ts";
import { createEdgeTombstones, type EdgeTombstones } from "./deliver/tombstones.ts";
import type { EdgeBindings, EdgeConfig } from "./env.ts";
import { createCancelJob, type CancelJob } from "./forward/cancel-job.ts";
import { createCallRegion, type CallRegion } from "./forward/call-region.ts";
import { createDispatchBatch, type DispatchBatch } from "./forward/dispatch-batch.ts";
import { createDispatchJob, type DispatchJob } from "./forward/dispatch-job.ts";
import { createObjectStore, type ObjectStore } from "./forward/object-store.ts";
import { createReadRegions, type ReadRegions } from "./forward/read-regions.ts";
import { createSecondCopy, type SecondCopy } from "./forward/second-copy.ts";
import { createRetryBudget, type RetryBudget } from "./forward/retry-budget.ts";
import { createStreamRegion, type StreamRegion } from "./forward/stream-region.ts";
import { createDeletionsClient, type DeletionsClient } from "./ledger/deletions-client.ts";
import type { Deletions } from "./ledger/deletions.ts";
import { createBatchLedger, type BatchLedger } from "./ledger/batch-client.ts";
import { createIdempotencyClient } from "./ledger/idempotency-client.ts";
import type { Idempotency } from "./ledger/idempotency.ts";
import { createLedgerClient, type LedgerClient } from "./ledger/ledger-client.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { createMetrics, type Metrics } from "./ops/metrics.ts";
import { createPrimaryClient, type PrimaryClient } from "./primary/primary-client.ts";
import type { PrimaryLease } from "./primary/primary-lease.ts";
import { createRouter, type Router } from "./route/candidates.ts";
import { createRegionHealth } from "./route/region-health.ts";
import type { RegionProbes } from "./route/region-probes.ts";
import { createRegionStatus, type ReadRegionStatus } from "./route/region-status.ts";
import { createRefreshHealth } from "./route/refresh-health.ts";
import { createVantages } from "./route/vantages.ts";

/** What the calls are made of; built once per isolate, and passed to them. */
export interface EdgeServices {
  config: EdgeConfig;
  metrics: Metrics;
  router: Router;
  callRegion: CallRegion;
  streamRegion: StreamRegion;
  retries: RetryBudget;
  readRegions: ReadRegions;
  keys: KeyDirectory;
  tokens: TokenDirectory;
  strangers: Strangers;
  gate: TenantGate;
  cors: ReturnType<typeof createCors>;
  revocations: RevocationList;
  ledger: LedgerClient;
  once: Once;
  holdBody: HoldBody;
  objects: ObjectStore;
  secondCopy: SecondCopy;
  dispatchJob: DispatchJob;
  batches: BatchLedger;
  dispatchBatch: DispatchBatch;
  cancelJob: CancelJob;
  describeJob: DescribeJob;
  deliverAudio: DeliverAudio;
  deletions: DeletionsClient;
  tombstones: EdgeTombstones;
  regionStatus: ReadRegionStatus;
  primary: PrimaryClient;
  /** Brings this isolate's view of the regions up to date, if it is time. */
  refreshHealth: () => Promise<void> | undefined;
}

export function createServices(bindings: EdgeBindings, config: EdgeConfig): EdgeServices {
  const metrics = createMetrics();
  const health = createRegionHealth();
  const retries = createRetryBudget(Date.now, metrics);
  const callRegion = createCallRegion({ config, health, metrics });
  const placement = { jurisdictions: config.environment === "production" };
  const ledger = createLedgerClient(bindings.LEDGER as DurableObjectNamespace<Ledger>, placement);
  const batches = createBatchLedger(bindings.LEDGER as DurableObjectNamespace<Ledger>, placement);
  const idempotency = createIdempotencyClient(
    bindings.IDEMPOTENCY as DurableObjectNamespace<Idempotency>,
    placement,
  );
  const revocations = createRevocationSource(
    bindings.REVOCATIONS as DurableObjectNamespace<Revocations>,
  );
  const deletions = createDeletionsClient(
    bindings.DELETIONS as DurableObjectNamespace<Deletions>,
    placement,
  );
  const tombstones = createEdgeTombstones(deletions);
  const objects = createObjectStore(config, health);
  const router = createRouter(config, health);
  return {
    config,
    metrics,
    callRegion,
    streamRegion: createStreamRegion({ config, health, metrics }),
    ledger,
    objects,
    secondCopy: createSecondCopy(config, objects),
    router,
    keys: createKeyDirectory(bindings.KEYS, callRegion),
    tokens: createTokenDirectory({
      kv: bindings.KEYS,
      callRegion,
      allowHttp: config.environment !== "production",
    }),
    strangers: createStrangers(),
    gate: createTenantGate({
      source: createLeaseSource(
        bindings.TENANT_LIMITS as DurableObjectNamespace<TenantLimits>,
        placement,
      ),
      defaults: config.defaultLimits,
      metrics,
    }),
    cors: createCors({ kv: bindings.KEYS, callRegion, router }),
    revocations: createRevocationList(revocations),
    once: createOnce(idempotency),
    holdBody: createHoldBody(),
    retries,
    readRegions: createReadRegions(callRegion, health, retries, metrics),
    batches,
    dispatchBatch: createDispatchBatch(batches, callRegion),
    dispatchJob: createDispatchJob(ledger, callRegion, retries, metrics),
    cancelJob: createCancelJob(ledger, callRegion),
    describeJob: createDescribeJob(config, callRegion, health),
    deletions,
    tombstones,
    deliverAudio: createDeliverAudio(config, objects, tombstones.coversAudio),
    regionStatus: createRegionStatus(config, health, callRegion),
    primary: createPrimaryClient(bindings.PRIMARY_LEASE as DurableObjectNamespace<PrimaryLease>, {
      automatic: config.automaticTakeover,
      regions: config.regions.map(({ id }) => id),
    }),
    refreshHealth: createRefreshHealth(
      createVantages(
        bindings.REGION_PROBES as DurableObjectNamespace<RegionProbes>,
        config.regions,
      ),
      health,
    ),
  };
}

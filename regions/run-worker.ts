import { readConfig, WorkerConfig } from "./config.ts";
import { createLogger } from "./ops/logger.ts";
import { createMetrics } from "./ops/metrics.ts";
import { createOpsServer } from "./ops/ops-server.ts";
import { createReadiness } from "./ops/readiness.ts";
import { createSecretBox } from "./ops/secret-box.ts";
import { onShutdown } from "./ops/shutdown.ts";
import { createRedisQueue } from "./queue/redis-queue.ts";
import { createJobHistory } from "./results/job-history.ts";
import { createRedis } from "./results/redis.ts";
import { createStageCache } from "./results/stage-cache.ts";
import { createStagePlans } from "./results/stage-plans.ts";
import { createAnalyzer } from "./speech/analyze.ts";
import { createDecoder } from "./speech/decode/decoder.ts";
import { createFeaturesThread } from "./speech/features/create-features-thread.ts";
import { createInference } from "./speech/inference/create-inference.ts";
import { loadManifest } from "./speech/models/load-manifest.ts";
import { createSynthesizer } from "./speech/synthesis/create-synthesizer.ts";
import { createVoices } from "./speech/synthesis/create-voices.ts";
import { createEngines } from "./speech/transcription/choose-engine.ts";
import { createTranscriber } from "./speech/transcription/create-transcriber.ts";
import { createObjectStore } from "./store/object-store.ts";
import { createAnnouncePlans } from "./workers/announce-plans.ts";
import { createRunJob } from "./workers/run-job.ts";
import { createRunSpeechJob } from "./workers/run-speech-job.ts";
import { openScratch } from "./workers/scratch.ts";
import { createWorker } from "./workers/worker.ts";

/*
 * A worker of a region. This thread does I/O alone: decoding is in child processes and inference in threads of
 * their own, so leases are renewed however busy those are. Killed at any moment it does no harm: its leases run out, and its
 * next process clears its files.
 */

const config = readConfig(WorkerConfig, process.env);
const region = config.ANTIPHON_REGION;
const workerId = config.WORKER_ID;
const logger = createLogger("worker", region, config.LOG_LEVEL).child({ worker_id: workerId });
const metrics = createMetrics();

const queue = createRedisQueue({
  url: config.REDIS_URL,
  region,
  leaseMs: config.LEASE_MS,
  onError: (error) => logger.debug({ err: error }, "redis is away"),
});
const objects = createObjectStore({
  region,
  bucket: config.S3_BUCKET,
  endpoint: config.S3_ENDPOINT,
  accessKeyId: config.S3_ACCESS_KEY_ID,
  secretAccessKey: config.S3_SECRET_ACCESS_KEY,
});
const redis = createRedis(config.REDIS_URL, (error) =>
  logger.debug({ err: error }, "redis is away"),
);
const stages = createStageCache({
  redis,
  readObject: (key, maxBytes, signal) => objects.getText(key, maxBytes, signal ? { signal } : {}),
  writeObject: (key, text, signal) =>
    objects.put(key, text, { contentType: "application/json", ...(signal ? { signal } : {}) }),
  maxTotalBytes: config.STAGE_CACHE_MB * 2 ** 20,
  logger,
  metrics,
});
const scratch = await openScratch(config.SCRATCH_DIR, workerId);
const decoder = createDecoder({ maxProcesses: config.WORKER_CONCURRENCY });
const inference = createInference({
  budgetMb: config.MODEL_MEMORY_MB,
  threads: config.MODEL_THREADS,
  onUnload: (model) => logger.info({ model }, "a model made room for another"),
});
const deviations = metrics.counter(
  "antiphon_batch_deviations_total",
  "Samples that a model gave something else for in a batch than alone.",
);
const features = createFeaturesThread();
const readManifest = () =>
  loadManifest(config.ANTIPHON_MODELS_MANIFEST, config.ANTIPHON_MODELS_DIR);
const manifest = readManifest();
const synthesizer = createSynthesizer({
  voices: createVoices({ manifest: readManifest, inference }),
});
const transcriber = createTranscriber({
  engines: createEngines({
    manifest,
    searchPath: config.PATH,
    budgetMb: config.MODEL_MEMORY_MB,
    memory: inference,
    whisper: { threads: config.MODEL_THREADS },
    moonshine: { threads: config.MODEL_THREADS },
    onPassedOver: (reason) => logger.warn({ reason }, "a model for transcripts is passed over"),
  }),
  maxAtOnce: config.WORKER_CONCURRENCY,
  folder: scratch.folder,
});
const analyzer = createAnalyzer({
  decoder,
  inference,
  features,
  transcriber,
  manifest,
  folder: scratch.folder,
  maxDurationS: config.MAX_AUDIO_S,
  onDeviation: (deviation) => {
    deviations.inc();
    logger.error(deviation, "a model gave something else in a batch than alone");
  },
});
const announcePlans = createAnnouncePlans({ analyzer, plans: createStagePlans({ redis }), logger });
const history = createJobHistory({
  redis,
  onError: (error) => logger.debug({ err: error }, "cannot tell what jobs took"),
});
const speed = config.WORKER_SPEED;
const analyse = createRunJob({
  region,
  objects,
  scratch,
  stages,
  analyzer,
  announcePlans,
  secretBox: createSecretBox(config.WEBHOOK_KEYS),
  observe: history.observe,
  speed,
});
const speak = createRunSpeechJob({ region, objects, synthesizer, logger });
const worker = createWorker({
  workerId,
  queue,
  objects,
  runJob: (run, options) => (run.spec.kind === "synthesis" ? speak : analyse)(run, options),
  concurrency: config.WORKER_CONCURRENCY,
  leaseMs: config.LEASE_MS,
  speed,
  logger,
  metrics,
});

const ops = await createOpsServer({
  metrics,
  port: config.OPS_PORT,
  readiness: createReadiness({
    region,
    checks: {
      redis: () => queue.ping(),
      objects: (signal) => objects.isReachable({ signal }),
    },
    load: async () => {
      const { waiting, running } = await queue.load();
      return { waiting_jobs: waiting, running_jobs: running };
    },
  }),
});

const working = worker.run();
const stop = new AbortController();
const announcing = Promise.all([announcePlans.run(stop.signal), history.run(stop.signal)]);
const fail = onShutdown(
  async () => {
    worker.stop();
    stop.abort(new Error("the worker stops"));
    await Promise.all([working, announcing]);
    await Promise.allSettled([
      decoder.close(),
      // With the inference, which its voices share.
      synthesizer.close(),
      features.close(),
      transcriber.close(),
      scratch.close(),
      ops.close(),
    ]);
    await queue.close();
    redis.disconnect();
    objects.close();
  },
  { logger },
);
working.catch(fail);
logger.info({ ops_port: ops.port }, "the worker runs");

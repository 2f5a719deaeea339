import { createLogger } from "../../regions/ops/logger.ts";
import { createMetrics } from "../../regions/ops/metrics.ts";
import { repeat } from "../../regions/ops/repeat.ts";
import { createRedisQueue } from "../../regions/queue/redis-queue.ts";
import { createBatchWriter } from "../../regions/results/batch-writer.ts";
import { createEdgeCompletions } from "../../regions/results/edge-completions.ts";
import { createOfferRelay } from "../../regions/results/offer-relay.ts";
import { createRedis } from "../../regions/results/redis.ts";
import { REGION } from "./plan-job.ts";
import { runPart } from "./run-part.ts";

/* The keeper of a soak: reaper, relay of offers and batch writer of the region, before the soak's own ledger and rows. */

const { REDIS_URL = "", LEDGER_URL = "", LINK_SECRET = "" } = process.env;
const logger = createLogger("soak-keeper", REGION, "error");
const metrics = createMetrics();
const redis = createRedis(REDIS_URL);
const queue = createRedisQueue({ url: REDIS_URL, region: REGION, onDisk: true });
const stop = new AbortController();
const { signal } = stop;

const relay = createOfferRelay({
  redis,
  offerCompletions: createEdgeCompletions({
    edgeUrl: LEDGER_URL,
    region: REGION,
    linkSecrets: [LINK_SECRET],
  }),
  eraseUpload: async () => undefined,
  deleteObject: async () => undefined,
  cache: { write: async () => undefined },
  logger,
  metrics,
});
const writer = createBatchWriter({
  redis,
  target: {
    async write(envelopes) {
      const response = await fetch(new URL("/rows", LEDGER_URL), {
        method: "POST",
        body: JSON.stringify({ envelopes }),
      });
      await response.text();
      if (!response.ok) throw new Error(`the rows were answered with ${response.status}`);
      return { at: { timeline: 1, lsn: "0/0" }, refused: [] };
    },
    waitForReplay: async () => undefined,
  },
  logger,
  metrics,
});

const loops = Promise.all([
  relay.run(signal),
  writer.run(signal),
  repeat(() => queue.reap(), { everyMs: 200, signal, onError: () => undefined }),
]);
runPart(async () => {
  stop.abort(new Error("the soak ends"));
  await loops;
  await queue.close();
  redis.disconnect();
});

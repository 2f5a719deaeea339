import type { CompletionVerdict } from "../../shared/contracts/completion.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import { asCanceled } from "./as-canceled.ts";
import { OffersRefusedError, type OfferCompletions } from "./edge-completions.ts";
import { OfferEntry, readJson } from "./offers.ts";
import type { Redis } from "./redis.ts";
import type { ResultCache } from "./result-cache.ts";
import { groups, resultKeys } from "./result-keys.ts";
import { createScripts } from "./scripts.ts";
import { consumeStream, type StreamConsumerOptions, type StreamEntry } from "./stream-consumer.ts";
import { webhookEventOf } from "./webhook-event.ts";

export interface OfferRelayOptions {
  redis: Redis;
  offerCompletions: OfferCompletions;
  /** Removes the result of a run that was not accepted; its failure is only logged. */
  deleteObject(key: string, signal: AbortSignal): Promise<void>;
  cache: Pick<ResultCache, "write">;
  /** Removes an upload, in all its versions, of which nothing may stay; its failure is only logged. */
  eraseUpload(key: string, signal: AbortSignal): Promise<unknown>;
  /** Whether acceptance makes webhooks. */
  webhooks?: boolean;
  logger: Logger;
  metrics: Metrics;
  stream?: Partial<
    Pick<
      StreamConsumerOptions,
      "blockMs" | "claimAfterMs" | "youngClaimAfterMs" | "graceMs" | "backoff"
    >
  >;
}

/** As many as a CompletionBatch holds. */
const BATCH_SIZE = 100;
/** A sealed result travels with its offer, and may be large. */
const MAX_BATCH_BYTES = 16 * 2 ** 20;

interface Offered extends OfferEntry {
  entryId: string;
}

/**
 * Carries the offers of finished runs to the ledger and acts on its verdicts, until the signal is aborted. An offer
 * leaves the stream only by a verdict (or to the dead letters, when it can never have one).
 */
export function createOfferRelay(options: OfferRelayOptions): {
  run(signal: AbortSignal): Promise<void>;
} {
  const { redis, offerCompletions, deleteObject, cache, logger, metrics } = options;
  const scripts = createScripts(redis);
  const verdictsTotal = metrics.counter(
    "antiphon_offers_total",
    "Offers of ended runs, by the ledger's verdict.",
  );

  async function bury(entryId: string, reason: string): Promise<void> {
    await scripts.buryOffer(entryId, reason);
    verdictsTotal.inc({ verdict: "dead" });
    logger.error(
      { entry: entryId, reason, moved_to: resultKeys.deadOffers },
      "an offer can never be made",
    );
  }

  async function settle(entryId: string, accepted: OfferEntry, signal: AbortSignal): Promise<void> {
    const { offer, envelope, spent } = accepted;
    if (envelope.result !== null) {
      // Only saves a read of the object; the job is no less final without it.
      await cache.write(offer.job_id, JSON.stringify(envelope.result)).catch(() => undefined);
    }
    // Before its offer goes: afterwards nobody would know of it but the tenant's retention, days later.
    if (spent !== undefined) {
      await options.eraseUpload(spent, signal).catch((error: unknown) => {
        logger.warn({ err: error, job_id: offer.job_id }, "an upload stays that has been used");
      });
    }
    const event = options.webhooks ? webhookEventOf(accepted) : undefined;
    await scripts.settle(entryId, offer, envelope, event);
  }

  async function act(offered: Offered, verdict: CompletionVerdict["verdict"], signal: AbortSignal) {
    const { entryId, ...run } = offered;
    const { offer } = run;
    verdictsTotal.inc({ verdict });
    if (verdict === "accepted") return settle(entryId, run, signal);
    logger.info(
      { job_id: offer.job_id, epoch: offer.epoch, verdict },
      "a run was not accepted; dropping its traces",
    );
    // Before its offer goes: afterwards nobody would know of the object.
    if (offer.result_key !== undefined) {
      await deleteObject(offer.result_key, signal).catch((error: unknown) => {
        logger.warn(
          { err: error, job_id: offer.job_id },
          "could not delete the result of a run that was not accepted",
        );
      });
    }
    if (verdict === "canceled") return settle(entryId, asCanceled(run), signal);
    await scripts.discard(entryId, offer);
  }

  async function relay(batch: Offered[], signal: AbortSignal): Promise<void> {
    let verdicts: CompletionVerdict[];
    try {
      verdicts = await offerCompletions(
        batch.map(({ offer }) => offer),
        signal,
      );
    } catch (error) {
      if (!(error instanceof OffersRefusedError)) throw error;
      if (batch.length === 1) return bury(batch[0]!.entryId, error.message);
      const half = Math.ceil(batch.length / 2);
      await relay(batch.slice(0, half), signal);
      return relay(batch.slice(half), signal);
    }
    const byRun = new Map(verdicts.map((verdict) => [runName(verdict), verdict.verdict]));
    const open = await Promise.all(
      batch.map(async (offered) => {
        const verdict = byRun.get(runName(offered.offer));
        if (verdict === undefined) return true;
        await act(offered, verdict, signal);
        return false;
      }),
    );
    const missing = open.filter(Boolean).length;
    // A shard of the ledger is away. Its offers lie there until they are taken over again; the others need not wait for them.
    if (missing > 0) logger.warn({ missing, of: batch.length }, "the edge gave no verdict yet");
  }

  async function handle(entries: StreamEntry[], signal: AbortSignal): Promise<void> {
    const batch: Offered[] = [];
    for (const { id, fields } of entries) {
      const read = readJson(OfferEntry, fields["offer"]);
      if ("fault" in read) await bury(id, read.fault);
      else batch.push({ entryId: id, ...read.value });
    }
    if (batch.length > 0) await relay(batch, signal);
  }

  return {
    run: (signal) =>
      consumeStream(
        {
          ...options.stream,
          redis,
          stream: resultKeys.offers,
          group: groups.offers,
          batchSize: BATCH_SIZE,
          maxBatchBytes: MAX_BATCH_BYTES,
          handle,
          logger,
        },
        signal,
      ),
  };
}

const runName = ({ job_id, epoch }: Pick<CompletionVerdict, "job_id" | "epoch">) =>
  `${job_id}/${epoch.dispatch}-${epoch.attempt}`;

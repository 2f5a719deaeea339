import { setTimeout as sleep } from "node:timers/promises";
import { webhookHeaders } from "../../shared/signing/standard-webhook.ts";
import { createBackoff } from "../ops/backoff.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import { readJson } from "../results/offers.ts";
import type { Redis } from "../results/redis.ts";
import { composePayload, type PayloadResult } from "./compose-payload.ts";
import { Delivery, rowOf, withoutContent } from "./delivery.ts";
import type { EndpointBook, FoundTarget } from "./endpoint-book.ts";
import type { PostOutcome, PostWebhook } from "./post-webhook.ts";
import { judge, pauseAfter } from "./retry-policy.ts";
import { createWebhookScripts, type ClaimedDelivery, type Recorded } from "./scripts.ts";
import { webhookKeys } from "./webhook-keys.ts";

export interface DelivererOptions {
  redis: Redis;
  book: EndpointBook;
  post: PostWebhook;
  /** The result (JSON) of a final job, from this region; undefined when it is not to be had. */
  readResult(
    job: { job_id: string; tenant_id: string; result_key: string },
    signal: AbortSignal,
  ): Promise<string | undefined>;
  /** Whether its job was deleted: then nothing more is told of it. */
  isDeleted(delivery: Delivery): Promise<boolean>;
  /** Opens the sealed result of a job. */
  openResult(jobId: string, sealed: string): string;
  /** What URLs in payloads begin with. */
  publicUrl?: string | undefined;
  logger: Logger;
  metrics: Metrics;
  /** Tries under way at once in this process, and to one target in the region. */
  concurrency?: number;
  mostOfLane?: number;
  /** Failures in a row after which a target gets one try at a time. */
  failuresForOne?: number;
  /** Longer than any try with all that belongs to it; when its process dies, a delivery is tried again after this. */
  leaseMs?: number;
  /** Longest pause before looking for work; another process may have made some. */
  pollMs?: number;
  /** How often a paused endpoint is looked at. */
  pausedCheckMs?: number;
  /** An endpoint is paused after so many tries in a row that failed over so long a time. */
  pauseAfter?: { failures: number; ms: number };
  /** How long tries may go on after the stop. */
  graceMs?: number;
  /** Unix ms. */
  now?: () => number;
  random?: () => number;
}

/** What a try of a delivery comes to. */
interface Next {
  delivery: Delivery;
  nextMs?: number;
  target: Recorded["target"];
  holdUntilMs?: number;
  /** For the metric. */
  outcome: string;
}

/**
 * Sends deliveries that are due, until the signal is aborted: at least once each, by the same id each time. A target that is slow or
 * dead keeps no other waiting: each has a lane of its own with few tries at once, and one that only fails has one.
 */
export function createDeliverer(options: DelivererOptions) {
  const {
    redis,
    book,
    post,
    readResult,
    isDeleted,
    openResult,
    publicUrl = "",
    logger,
    metrics,
  } = options;
  const { concurrency = 256, mostOfLane = 8, failuresForOne = 3, leaseMs = 60_000 } = options;
  const { pollMs = 500, pausedCheckMs = 15_000, graceMs = 3000 } = options;
  const { pauseAfter: patience = { failures: 20, ms: 12 * 3_600_000 } } = options;
  const { now = Date.now, random = Math.random } = options;
  const scripts = createWebhookScripts(redis);

  const tries = metrics.counter(
    "antiphon_webhook_tries_total",
    "Tries to deliver webhooks, by what they came to.",
  );
  const pending = metrics.gauge("antiphon_webhooks_pending", "Deliveries that have not ended.");
  const oldest = metrics.gauge(
    "antiphon_webhooks_oldest_seconds",
    "Age of the oldest delivery that has not ended.",
  );
  metrics.onScrape(async () => {
    const first = (
      await redis.zrangebyscore(webhookKeys.pending, "-inf", "+inf", "WITHSCORES", "LIMIT", 0, 1)
    )[1];
    pending.set(await redis.zcard(webhookKeys.pending));
    oldest.set(first === undefined ? 0 : Math.max(0, (now() - Number(first)) / 1000));
  });

  let wake: () => void = () => undefined;

  async function resultFor(
    delivery: Delivery,
    isWanted: boolean,
    signal: AbortSignal,
  ): Promise<PayloadResult | undefined> {
    const { job_id, tenant_id, result_key, has_sealed } = delivery;
    if (has_sealed) {
      const sealed = await redis.get(webhookKeys.sealed(delivery.id));
      return { text: sealed === null ? undefined : openResult(job_id, sealed), onlyHere: true };
    }
    if (!isWanted || result_key === undefined) return undefined;
    return {
      text: await readResult({ job_id, tenant_id, result_key }, signal),
      onlyHere: false,
    };
  }

  /** Without a try: why it ends, or waits. */
  const end = (delivery: Delivery, status: "failed" | "canceled", error: string): Next => ({
    delivery: { ...delivery, status, error, next_attempt_ms: null },
    target: "",
    outcome: status,
  });

  function hold(delivery: Delivery): Next {
    const at = now();
    if (at >= delivery.expires_ms) return end(delivery, "failed", "endpoint_paused");
    const nextMs = Math.min(at + pausedCheckMs, delivery.expires_ms);
    return {
      delivery: { ...delivery, status: "held", next_attempt_ms: null },
      nextMs,
      holdUntilMs: nextMs,
      target: "",
      outcome: "held",
    };
  }

  function after(tried: Delivery, outcome: PostOutcome): Next {
    const at = now();
    const verdict = judge(outcome);
    const delivery: Delivery = {
      ...tried,
      attempts: tried.attempts + 1,
      tries: tried.tries + 1,
      last_attempt_ms: at,
      next_attempt_ms: null,
      response_status: "status" in outcome ? outcome.status : null,
      error: "error" in outcome ? outcome.error : null,
      status: "pending",
    };
    if (verdict.kind === "done") {
      return {
        delivery: { ...delivery, status: "delivered" },
        target: "well",
        outcome: "delivered",
      };
    }
    const failed = { ...delivery, error: delivery.error ?? "refused" };
    if (verdict.kind === "stop") {
      return {
        delivery: { ...failed, status: "failed" },
        target: "ill",
        outcome: verdict.gone ? "gone" : "refused",
      };
    }
    // The last try is made when the time is up, not long before.
    if (at >= delivery.expires_ms) {
      return { delivery: { ...failed, status: "failed" }, target: "ill", outcome: "given_up" };
    }
    const pause = Math.max(pauseAfter(delivery.tries, random), verdict.hold);
    const nextMs = Math.min(at + pause, delivery.expires_ms);
    return {
      delivery: { ...failed, next_attempt_ms: nextMs },
      nextMs,
      ...(verdict.hold > 0 ? { holdUntilMs: at + verdict.hold } : {}),
      target: "ill",
      outcome: "failed",
    };
  }

  async function attempt(
    delivery: Delivery,
    target: FoundTarget,
    signal: AbortSignal,
  ): Promise<Next> {
    const wanted = "url" in delivery.target ? delivery.target.include_result : target.includeResult;
    const result = await resultFor(delivery, wanted, signal);
    const body = composePayload(delivery, publicUrl, result);
    const timestampS = Math.floor(now() / 1000);
    const message = { id: delivery.webhook_id, timestampS, body };
    const headers = await webhookHeaders(target.secrets, message);
    return after(delivery, await post(target.url, { body, headers }, signal));
  }

  async function next(delivery: Delivery, signal: AbortSignal): Promise<Next> {
    if (await isDeleted(delivery)) {
      const facts = withoutContent(delivery.facts);
      return end({ ...delivery, facts }, "canceled", "job_deleted");
    }
    const target = await book.find(delivery.tenant_id, delivery.target);
    if (target === undefined) return end(delivery, "canceled", "endpoint_deleted");
    if (target.status === "disabled") return end(delivery, "failed", "endpoint_disabled");
    if (target.status === "paused") return hold(delivery);
    return attempt(delivery, target, signal);
  }

  /** Only what a client can see of it goes to the database. */
  const isNews = (before: Delivery, { delivery }: Next) =>
    delivery.attempts !== before.attempts || delivery.status !== before.status;

  async function record(claimed: ClaimedDelivery, before: Delivery, found: Next): Promise<void> {
    const isNew = isNews(before, found);
    const delivery = { ...found.delivery, version: before.version + (isNew ? 1 : 0) };
    const { nextMs, target, holdUntilMs = 0 } = found;
    const row = isNew ? rowOf(delivery) : undefined;
    const at = now();
    const health = await scripts.record(
      { claimed, delivery, nextMs, row, target, holdUntilMs },
      at,
    );
    if (!health) return;
    tries.inc({ outcome: found.outcome });
    if (target !== "ill" || !("endpoint_id" in delivery.target)) return;
    const { endpoint_id } = delivery.target;
    if (found.outcome === "gone") {
      await book.stop(endpoint_id, { status: "disabled", reason: "it answered 410 Gone" });
      return;
    }
    // What failed before its owner made it active does not count.
    const known = await book.find(delivery.tenant_id, delivery.target);
    if (!known) return;
    const forMs = at - Math.max(health.sinceMs, known.statusSinceMs);
    if (health.failures >= patience.failures && forMs >= patience.ms) {
      const hours = Math.round(forMs / 3_600_000);
      const reason = `every try failed for ${hours} hours; the last: ${describe(delivery)}`;
      await book.stop(endpoint_id, { status: "paused", reason });
    }
  }

  async function run(claimed: ClaimedDelivery, signal: AbortSignal): Promise<void> {
    const read = readJson(Delivery, claimed.record);
    if ("fault" in read) {
      logger.error({ delivery: claimed.id, reason: read.fault }, "a delivery cannot be read");
      await redis.del(webhookKeys.delivery(claimed.id));
      await redis.zrem(webhookKeys.pending, claimed.id);
      return;
    }
    try {
      await record(claimed, read.value, await next(read.value, signal));
    } catch (error) {
      // It stays under way until its lease is over, and is tried again then.
      if (!signal.aborted) logger.warn({ err: error, delivery: claimed.id }, "a delivery was left");
    }
  }

  return {
    /** There is something to send. */
    wake: () => wake(),

    async run(signal: AbortSignal): Promise<void> {
      const active = new Set<Promise<void>>();
      const backoff = createBackoff();
      const hardStop = new AbortController();
      while (!signal.aborted) {
        try {
          const woken = new Promise<void>((resolve) => (wake = resolve));
          const room = concurrency - active.size;
          const { claimed, nextMs } =
            room > 0
              ? await scripts.claim({
                  nowMs: now(),
                  leaseMs,
                  most: room,
                  mostOfLane,
                  failuresForOne,
                })
              : { claimed: [], nextMs: undefined };
          for (const each of claimed) {
            const one = run(each, hardStop.signal).finally(() => {
              active.delete(one);
              wake();
            });
            active.add(one);
          }
          backoff.reset();
          const pauseMs = nextMs === undefined ? pollMs : Math.min(pollMs, nextMs - now());
          if (claimed.length > 0 && pauseMs <= 0) continue;
          await pause(Math.max(10, pauseMs), woken, signal);
        } catch (error) {
          if (signal.aborted) break;
          logger.warn({ err: error }, "cannot look for webhooks now");
          await backoff.wait(signal);
        }
      }
      const grace = setTimeout(() => hardStop.abort(signal.reason), graceMs);
      await Promise.all(active);
      clearTimeout(grace);
    },
  };
}

const describe = ({ response_status, error }: Delivery) =>
  response_status === null ? (error ?? "no answer") : `HTTP ${response_status}`;

/** Until the time is up, or there is something to do. */
async function pause(ms: number, woken: Promise<void>, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const limit = AbortSignal.any([signal, done.signal]);
  try {
    await Promise.race([woken, sleep(ms, undefined, { signal: limit }).catch(() => undefined)]);
  } finally {
    done.abort();
  }
}

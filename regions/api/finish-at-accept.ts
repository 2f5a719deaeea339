import { AnalysisResult } from "../../shared/contracts/analysis-result.ts";
import { composeAnalysis } from "../../shared/contracts/compose-analysis.ts";
import { leavesNoResult, type JobSpec } from "../../shared/contracts/job.ts";
import { audioKey, resultKey, uploadKey } from "../../shared/contracts/object-keys.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { StageName } from "../../shared/contracts/stages.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import { succeeded } from "../queue/completion.ts";
import type { Complete } from "../queue/queue-port.ts";
import { audioExtension } from "../results/audio-extension.ts";
import { buildResult } from "../results/build-result.ts";
import type { ResultCache } from "../results/result-cache.ts";
import type { StageCache } from "../results/stage-cache.ts";
import type { StagePlans } from "../results/stage-plans.ts";
import { keepAudio } from "../store/keep-audio.ts";
import type { ObjectHead, ObjectStore } from "../store/object-store-port.ts";

export interface FinishAtAcceptParts {
  region: Region;
  objects: Pick<ObjectStore, "head" | "copy" | "putNew" | "getText">;
  /** What workers have made before, and would make now. */
  cache: { stages: Pick<StageCache, "find">; plans: Pick<StagePlans, "read"> };
  /** Where the result will be asked for at once. */
  results: Pick<ResultCache, "write">;
  /** Whether a recording of this form may have been sent under a content type. */
  typeFits(declared: string | undefined, audio: { container: string; codec: string }): boolean;
  logger: Logger;
  metrics: Metrics;
  /** Unix ms. */
  now?: () => number;
}

/**
 * How a job ends whose result is known already; undefined when it has to be worked on, also when that cannot be told quickly.
 * Its result and audio are in the bucket then.
 */
export type FinishAtAccept = (
  spec: JobSpec,
  upload: ObjectHead,
  signal?: AbortSignal,
) => Promise<Complete | undefined>;

/** A job that is being accepted must not wait for its shortcut. */
const PATIENCE_MS = 1000;
/** Outcomes of long recordings are left to workers: this thread has others to serve. */
const MAX_STAGE_BYTES = 2 ** 20;
const MAX_RESULT_BYTES = 16 * 2 ** 20;

export function createFinishAtAccept(parts: FinishAtAcceptParts): FinishAtAccept {
  const { region, objects, cache, results, typeFits, logger, metrics, now = Date.now } = parts;
  const answers = metrics.counter(
    "antiphon_accept_cache_total",
    "Jobs by whether their result was known when they were accepted.",
  );

  async function finish(
    spec: JobSpec,
    upload: ObjectHead & { sha256: string },
    signal: AbortSignal,
  ): Promise<Complete | undefined> {
    const { sha256 } = upload;
    if (spec.not_before !== undefined && Date.parse(spec.not_before) > now()) return undefined;
    const began = now();
    const plan = await cache.plans.read(spec);
    if (plan === undefined) return undefined;
    const owner = { residency: spec.residency, tenantId: spec.tenant_id };
    const known = await cache.stages.find({ owner, sha256 }, plan.identities, {
      signal,
      maxBytes: MAX_STAGE_BYTES,
    });
    const analysis = composeAnalysis(spec.parts, plan.unavailable, known);
    if (analysis === undefined) return undefined;
    // A worker will say what is wrong with it.
    if (!typeFits(upload.contentType, analysis.audio)) return undefined;

    const epoch = { dispatch: spec.dispatch, attempt: 1 };
    const cost = { usd: 0, stages: [] };
    const built = buildResult({
      analysis,
      known: StageName.options,
      upload: { sha256, bytes: upload.bytes },
      timings_ms: {
        queued: Math.max(0, began - Date.parse(spec.created_at)),
        total: Math.max(0, now() - began),
      },
      cost,
      epoch,
      region: region.id,
    });
    const extension = audioExtension(analysis.audio.container);
    const from = uploadKey(owner, spec.upload_id);
    const to = audioKey(owner, sha256, extension);
    const key = resultKey(owner, spec.id, epoch);
    const [result] = await Promise.all([
      store(spec.id, key, built, signal),
      keepAudio(objects, { from, to, etag: upload.etag, signal }),
    ]);
    return (run) =>
      succeeded({
        ...run,
        region: region.id,
        finishedAtMs: now(),
        cost: result.cost,
        result,
        resultKey: key,
        extension,
      });
  }

  /**
   * Writes the result, unless this dispatch has one already: its answer may have been lost, or a worker have come first, and
   * theirs is the one that counts.
   */
  async function store(
    jobId: string,
    key: string,
    result: AnalysisResult,
    signal: AbortSignal,
  ): Promise<AnalysisResult> {
    const text = JSON.stringify(result);
    if (await objects.putNew(key, text, { contentType: "application/json", signal })) {
      // Only saves a read of the object.
      await results.write(jobId, text).catch(() => undefined);
      return result;
    }
    const there = await objects.getText(key, MAX_RESULT_BYTES, { signal });
    return AnalysisResult.parse(JSON.parse(there ?? "null"));
  }

  return async (spec, upload, signal) => {
    const sha256 = upload.sha256 ?? spec.audio_sha256;
    // Before a timer is made: most jobs end here.
    if (sha256 === undefined || leavesNoResult(spec)) {
      answers.inc({ outcome: "miss" });
      return undefined;
    }
    const patience = AbortSignal.timeout(PATIENCE_MS);
    const limit = signal ? AbortSignal.any([signal, patience]) : patience;
    try {
      const complete = await finish(spec, { ...upload, sha256 }, limit);
      answers.inc({ outcome: complete ? "hit" : "miss" });
      return complete;
    } catch (error) {
      signal?.throwIfAborted();
      logger.warn({ err: error, job_id: spec.id }, "left a job to the workers");
      return undefined;
    }
  };
}

import { MAX_UPLOAD_BYTES } from "../../shared/contracts/api.ts";
import { leavesNoResult } from "../../shared/contracts/job.ts";
import { audioKey, resultKey, uploadKey } from "../../shared/contracts/object-keys.ts";
import { StageName } from "../../shared/contracts/stages.ts";
import type { ErrorCode } from "../../shared/errors/catalogue.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { defaultPrices, type PriceTable } from "../../shared/policies/price.ts";
import type { ObservedJob } from "../../shared/policies/job-estimate.ts";
import type { SecretBox } from "../ops/secret-box.ts";
import { failed, succeeded, succeededUnkept, type Ending } from "../queue/completion.ts";
import type { Completion, Run } from "../queue/queue-port.ts";
import { audioExtension } from "../results/audio-extension.ts";
import { buildResult } from "../results/build-result.ts";
import { sealResult } from "../results/sealed-result.ts";
import type { StageCache } from "../results/stage-cache.ts";
import type { Analyzer } from "../speech/analyze.ts";
import { AudioError } from "../speech/decode/audio-error.ts";
import { TranscriptionRefusal } from "../speech/transcription/transcription-refusal.ts";
import { keepAudio } from "../store/keep-audio.ts";
import type { ObjectStore } from "../store/object-store-port.ts";
import type { AnnouncePlans } from "./announce-plans.ts";
import { fetchUpload } from "./fetch-upload.ts";
import { runCost } from "./run-cost.ts";
import type { Scratch } from "./scratch.ts";

export interface RunJobParts {
  region: string;
  objects: ObjectStore;
  analyzer: Analyzer;
  scratch: Scratch;
  /** What stages gave before, and a place for what they give now. */
  stages: StageCache;
  /** Told of what each job's parts are made with. */
  announcePlans?: Pick<AnnouncePlans, "tell"> | undefined;
  /** Seals results that are kept nowhere, for the webhooks that bring them. */
  secretBox: SecretBox;
  /** Told what jobs took whose stages were all made here: what estimates are learnt from. */
  observe?: ((spec: Run["spec"], job: ObservedJob) => void) | undefined;
  /** Compute-seconds that a run does in a second. */
  speed?: number;
  prices?: PriceTable;
  maxUploadBytes?: number;
}

export interface RunJobOptions {
  signal: AbortSignal;
  /** Told how far the run is, 0 to 1. */
  onProgress(fraction: number): void;
}

/**
 * Runs a job to its end: a result, or a failure that lies in the recording.
 * @throws whatever else goes wrong (a store away, a decoder that died): worth another attempt
 */
export type RunJob = (run: Run, options: RunJobOptions) => Promise<Completion>;

/** Faults of the upload that another attempt cannot mend. */
const finalCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "upload_not_found",
  "upload_too_large",
  "audio_empty",
]);

export function createRunJob(parts: RunJobParts): RunJob {
  const { region, objects, analyzer, scratch, stages, announcePlans, observe, secretBox } = parts;
  const { speed = 1, prices = defaultPrices, maxUploadBytes = MAX_UPLOAD_BYTES } = parts;

  async function analyse(
    run: Run,
    path: string,
    now: () => number,
    options: RunJobOptions,
  ): Promise<Completion> {
    const { spec, epoch, startedAtMs } = run;
    const { signal, onProgress } = options;
    const owner = { residency: spec.residency, tenantId: spec.tenant_id };
    const source = uploadKey(owner, spec.upload_id);
    const clock = stopwatch();

    const upload = await fetchUpload({
      objects,
      key: source,
      path,
      maxBytes: maxUploadBytes,
      signal,
    });
    const fetch = clock();
    const plan = await analyzer.plan(spec);
    announcePlans?.tell(spec, plan);
    const recording = { owner, sha256: upload.sha256 };
    const isKept = !leavesNoResult(spec);
    const known = isKept ? await stages.find(recording, plan.identities, { signal }) : {};
    const analysis = await analyzer.analyze(path, {
      parts: spec.parts,
      language: spec.language,
      model: spec.model,
      known,
      declaredContentType: upload.contentType,
      signal,
      onProgress: ({ fraction }) => fraction !== undefined && onProgress(fraction),
    });
    clock();

    const { timings_ms, made, ...composed } = analysis;
    const wanted = new Set<StageName>(["decode", ...spec.parts]);
    const extension = audioExtension(composed.audio.container);
    const target = audioKey(owner, upload.sha256, extension);
    if (isKept)
      await Promise.all([
        keepAudio(objects, { from: source, to: target, etag: upload.etag, signal }),
        // Before the job ends: who sees its result and asks again is answered from here.
        stages.keep(recording, plan.identities, made, { signal }),
      ]);
    const store = clock();

    const { total: _, ...computing } = timings_ms;
    const cost = runCost(computing, prices);
    const finishedAtMs = now();
    const result = buildResult({
      analysis: composed,
      // A stage that nobody asked for and that did not run stood behind others that were known.
      known: StageName.options.filter(
        (stage) => !made[stage] && (known[stage] || !wanted.has(stage)),
      ),
      upload,
      timings_ms: {
        queued: Math.max(0, startedAtMs - Date.parse(spec.created_at)),
        fetch,
        ...computing,
        store,
        total: Math.max(0, finishedAtMs - startedAtMs),
      },
      cost,
      epoch,
      region,
    });
    const text = JSON.stringify(result);
    const key = resultKey(owner, spec.id, epoch);
    if (isKept) await objects.put(key, text, { contentType: "application/json", signal });
    if (Object.keys(known).length === 0) {
      observe?.(spec, {
        bytes: upload.bytes,
        contentType: upload.contentType,
        audioSeconds: composed.audio.duration_s,
        computeSeconds: ((now() - startedAtMs) / 1000) * speed,
      });
    }
    const ending = { spec, epoch, region, startedAtMs, finishedAtMs: now(), cost };
    if (isKept) return succeeded({ ...ending, result, resultKey: key, extension });
    return succeededUnkept({
      ...ending,
      durationS: composed.audio.duration_s,
      sealed: sealResult(secretBox, spec.id, text),
    });
  }

  /** What is wrong with a recording is final too, and it is not needed again. */
  function spending({ spec }: Run, completion: Completion): Completion {
    if (!leavesNoResult(spec)) return completion;
    const owner = { residency: spec.residency, tenantId: spec.tenant_id };
    return { ...completion, spent: uploadKey(owner, spec.upload_id) };
  }

  return async (run, options) => {
    const path = scratch.path();
    const now = clockOf(run);
    try {
      return spending(run, await analyse(run, path, now, options));
    } catch (error) {
      options.signal.throwIfAborted();
      const { spec, epoch, startedAtMs } = run;
      const ending: Ending = { spec, epoch, region, startedAtMs, finishedAtMs: now() };
      if (error instanceof AudioError) {
        return spending(run, failed({ ...ending, code: error.code, detail: error.message }));
      }
      if (error instanceof TranscriptionRefusal && !worthAnother(error, run)) {
        return failed({ ...ending, code: error.code, detail: error.message });
      }
      if (error instanceof ApiError && finalCodes.has(error.code)) {
        return failed({ ...ending, code: error.code, detail: error.message });
      }
      throw error;
    } finally {
      await scratch.remove(path);
    }
  };
}

/** The region's time, in Unix ms: as it was when the run was claimed, and what has passed since. Our own clock may be wrong. */
export function clockOf({ startedAtMs }: Run): () => number {
  const began = performance.now();
  return () => Math.round(startedAtMs + performance.now() - began);
}

/** Another worker's models may be whole. */
function worthAnother({ code }: TranscriptionRefusal, { triedBefore }: Run): boolean {
  return code === "model_unusable" && triedBefore === 0;
}

/** Milliseconds since it was last asked, to a tenth. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const before = last;
    last = performance.now();
    return Math.round((last - before) * 10) / 10;
  };
}

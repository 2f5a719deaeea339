import type { AnalysisResult } from "../../shared/contracts/analysis-result.ts";
import {
  MAX_ENVELOPE_RESULT_BYTES,
  type CompletionOffer,
  type RunWebhook,
  type UsageRow,
} from "../../shared/contracts/completion.ts";
import type { Epoch } from "../../shared/contracts/epoch.ts";
import type { FinalStatus, JobCost, JobError, JobSpec } from "../../shared/contracts/job.ts";
import { catalogue, type ErrorCode } from "../../shared/errors/catalogue.ts";
import type { Completion } from "./queue-port.ts";

/** How a run ended. Times in Unix milliseconds. */
export interface Ending {
  spec: JobSpec;
  epoch: Epoch;
  region: string;
  startedAtMs: number;
  finishedAtMs: number;
  cost?: JobCost;
}

const nothing: JobCost = { usd: 0, stages: [] };

/** The offer and the envelope of a run that succeeded. `resultKey`: where the result lies in the region's bucket. */
export function succeeded(
  ending: Ending & { cost: JobCost; result: AnalysisResult; resultKey: string; extension: string },
): Completion {
  const { result, resultKey, extension } = ending;
  const { sha256, bytes, duration_s } = result.audio;
  return complete(ending, "succeeded", {
    result,
    resultKey,
    audio: { sha256, bytes, duration_s, extension },
  });
}

/**
 * The same of a run of whose result and recording nothing may stay: the result goes out by webhook alone, `sealed`; `durationS` is what
 * was analysed, for the usage.
 */
export function succeededUnkept(
  ending: Ending & { cost: JobCost; durationS: number; sealed: string },
): Completion {
  const { durationS, sealed } = ending;
  const end = complete(ending, "succeeded", { durationS });
  return { ...end, webhook: { ...end.webhook, sealed } };
}

/** What a synthesis gave, and what it took; what was spoken before takes nothing. */
export interface Spoken {
  audio: NonNullable<CompletionOffer["audio"]>;
  /** Absent: it was found again. */
  made?: { characters: number };
}

/** The offer and the envelope of a run that spoke a text. Its result is the audio. */
export function spoken(ending: Ending & { cost: JobCost } & Spoken): Completion {
  const { audio, made } = ending;
  const end = complete(ending, "succeeded", { audio });
  const named = { job_id: ending.spec.id, tenant_id: ending.spec.tenant_id, usd: 0 };
  const usage: UsageRow[] = end.envelope.usage.filter(({ stage }) => stage !== "audio");
  // The same stages as of speech that was listened to while it was made.
  if (made) {
    usage.push(
      { ...named, stage: "speech_text", quantity: made.characters, unit: "character" },
      { ...named, stage: "speech_audio", quantity: audio.duration_s, unit: "audio_second" },
    );
  }
  return { ...end, envelope: { ...end.envelope, usage } };
}

/** The offer and the envelope of a run that failed for good, with a code that the client will see. */
export function failed(ending: Ending & { code: ErrorCode; detail?: string }): Completion {
  const { code, detail = catalogue[code].title } = ending;
  return complete(ending, "failed", {
    error: { code, detail, retryable: catalogue[code].retryable },
  });
}

/** The offer and the envelope of a job that its owner called off. */
export function canceled(ending: Ending): Completion {
  return complete(ending, "canceled", {});
}

interface Outcome {
  error?: JobError;
  result?: AnalysisResult;
  resultKey?: string;
  audio?: NonNullable<CompletionOffer["audio"]>;
  /** Of the recording, where nothing else may be told of it. */
  durationS?: number;
}

function complete(ending: Ending, status: FinalStatus, outcome: Outcome): Completion {
  const { spec, epoch, region, cost = nothing } = ending;
  const { error, result, resultKey, audio, durationS = audio?.duration_s } = outcome;
  const started_at = new Date(ending.startedAtMs).toISOString();
  const finished_at = new Date(Math.max(ending.startedAtMs, ending.finishedAtMs)).toISOString();
  // Postgres replicates to every region, so a bound tenant's content must not get into it.
  const contentMayTravel = spec.residency === "global";
  const usage: UsageRow[] = cost.stages.map((stage) => ({
    job_id: spec.id,
    tenant_id: spec.tenant_id,
    stage: stage.stage,
    quantity: stage.seconds,
    unit: "compute_second",
    usd: stage.usd,
  }));
  if (durationS !== undefined) {
    usage.push({
      job_id: spec.id,
      tenant_id: spec.tenant_id,
      stage: "audio",
      quantity: durationS,
      unit: "audio_second",
      usd: 0,
    });
  }
  const webhook = webhookOf(spec);
  return {
    ...(webhook ? { webhook } : {}),
    offer: {
      job_id: spec.id,
      tenant_id: spec.tenant_id,
      region,
      epoch,
      status,
      ...(error ? { error } : {}),
      ...(resultKey ? { result_key: resultKey } : {}),
      ...(audio ? { audio } : {}),
      started_at,
      finished_at,
      cost,
    },
    envelope: {
      v: 1,
      type: "job.final",
      job: {
        id: spec.id,
        tenant_id: spec.tenant_id,
        kind: spec.kind,
        residency: spec.residency,
        region,
        priority: spec.priority,
        epoch,
        status,
        error_code: error?.code ?? null,
        user_id: contentMayTravel ? (spec.user_id ?? null) : null,
        metadata: contentMayTravel ? (spec.metadata ?? null) : null,
        audio_sha256: audio?.sha256 ?? null,
        audio_duration_s: durationS ?? null,
        result_key: resultKey ?? null,
        created_at: spec.created_at,
        started_at,
        finished_at,
        usd: cost.usd,
      },
      result: contentMayTravel && result && isSmall(result) ? { ...result } : null,
      usage,
    },
  };
}

const isSmall = (result: AnalysisResult) =>
  Buffer.byteLength(JSON.stringify(result)) <= MAX_ENVELOPE_RESULT_BYTES;

function webhookOf({ webhook: own, user_id, metadata }: JobSpec): RunWebhook | undefined {
  const known = {
    ...(own ? { own } : {}),
    ...(user_id === undefined ? {} : { user_id }),
    ...(metadata === undefined ? {} : { metadata }),
  };
  return Object.keys(known).length === 0 ? undefined : known;
}

import type { JobSpec } from "../contracts/job.ts";
import {
  emptyHistory,
  estimateCompute,
  learnCompute,
  type ComputeHistory,
  type JobShape,
} from "./compute-estimate.ts";

/** What was learnt from jobs that ended, as plain data that can be stored as JSON. */
export interface JobHistory {
  /** Compute-seconds per second of audio, by kind, parts and model. */
  compute: ComputeHistory;
  /** How much longer or shorter recordings are than their bytes let expect, by content type. */
  audio: ComputeHistory;
}

export const emptyJobHistory: JobHistory = { compute: emptyHistory, audio: emptyHistory };

/** What is known of a recording when its job is accepted. */
export interface UploadFacts {
  bytes: number;
  contentType: string | undefined;
}

export interface ObservedJob extends UploadFacts {
  audioSeconds: number;
  /** Wall seconds of a run in which every stage was made, times the worker's speed. */
  computeSeconds: number;
}

type Asked = Pick<JobSpec, "kind" | "parts" | "model">;

/** Bytes of a second of speech as it is usually sent: telephone to studio for wav, common bit rates for the others. */
const TYPICAL_BYTES_PER_S = {
  wav: 64_000,
  flac: 40_000,
  mp4: 16_000,
  mpeg: 16_000,
  ogg: 6_000,
  webm: 6_000,
  other: 16_000,
} as const;
type AudioType = keyof typeof TYPICAL_BYTES_PER_S;

/** Few combinations are asked for; a client must not be able to grow the history without end. */
const MOST_KEYS = 100;

/** How dense one type of recording is tells nothing of another. */
const lengthOptions = { priorRate: 1, ownOnly: true } as const;

/** Expected compute-seconds of a job of which only the upload is known. */
export function estimateJob(history: JobHistory, asked: Asked, upload: UploadFacts): number {
  const audioSeconds = estimateCompute(history.audio, lengthShape(upload), lengthOptions).seconds;
  return estimateCompute(history.compute, shapeOf(asked, audioSeconds)).seconds;
}

/** The history with one more finished job in it. */
export function learnJob(history: JobHistory, asked: Asked, job: ObservedJob): JobHistory {
  const { audioSeconds, computeSeconds } = job;
  const options = { mostKeys: MOST_KEYS };
  return {
    compute: learnCompute(history.compute, shapeOf(asked, audioSeconds), computeSeconds, options),
    audio: learnCompute(history.audio, lengthShape(job), audioSeconds, options),
  };
}

/** The engine that a client did not ask for by name is the region's own choice. */
const shapeOf = ({ kind, parts, model = "" }: Asked, audioSeconds: number): JobShape => ({
  kind,
  parts,
  model,
  audioSeconds,
});

/** The length of audio, learnt as if it were work on as many seconds as the bytes would usually hold. */
function lengthShape({ bytes, contentType }: UploadFacts): JobShape {
  const type = audioTypeOf(contentType);
  return {
    kind: "audio",
    parts: [],
    model: type,
    audioSeconds: bytes / TYPICAL_BYTES_PER_S[type],
  };
}

function audioTypeOf(contentType = ""): AudioType {
  const subtype = /^(?:audio|video|application)\/(?:x-|vnd\.)?([a-z0-9]+)/i
    .exec(contentType)?.[1]
    ?.toLowerCase();
  if (subtype === "wave") return "wav";
  if (subtype === "mp3") return "mpeg";
  if (subtype === "opus") return "ogg";
  if (subtype === "m4a" || subtype === "aac") return "mp4";
  return subtype !== undefined && Object.hasOwn(TYPICAL_BYTES_PER_S, subtype)
    ? (subtype as AudioType)
    : "other";
}

import { z } from "zod";
import { Epoch } from "./epoch.ts";
import { Sha256Hex } from "./ids.ts";
import { JobCost } from "./job.ts";

/** A part that was asked for and has no engine here: why, and the command that would install one. */
export const UnavailablePart = z
  .strictObject({
    status: z.literal("unavailable"),
    reason: z.string(),
    install: z.string().optional(),
  })
  .meta({ id: "UnavailablePart" });
export type UnavailablePart = z.infer<typeof UnavailablePart>;

/** Levels in dBFS of full scale 1.0; null for digital silence, which has none. */
export const AudioLevel = z
  .strictObject({
    rms_dbfs: z.number().nullable(),
    peak_dbfs: z.number().nullable(),
    silent: z.boolean(),
    clipping: z.strictObject({
      clipped_samples: z.int().min(0),
      clipped_ratio: z.number().min(0).max(1),
      longest_run: z.int().min(0),
    }),
  })
  .meta({ id: "AudioLevel" });
export type AudioLevel = z.infer<typeof AudioLevel>;

/** The recording as it came in: rate and channels are the file's own, not those of the analysis. */
export const AudioFacts = z
  .strictObject({
    sha256: Sha256Hex,
    bytes: z.int().min(1),
    duration_s: z.number().positive(),
    sample_rate_hz: z.int().positive(),
    channels: z.int().positive(),
    codec: z.string(),
    container: z.string(),
    level: AudioLevel,
  })
  .meta({ id: "AudioFacts" });
export type AudioFacts = z.infer<typeof AudioFacts>;

export const SpeechSegment = z.strictObject({
  start_s: z.number().min(0),
  end_s: z.number().min(0),
});
export type SpeechSegment = z.infer<typeof SpeechSegment>;

export const VoiceActivity = z
  .strictObject({ speech_ratio: z.number().min(0).max(1), segments: z.array(SpeechSegment) })
  .meta({ id: "VoiceActivity" });
export type VoiceActivity = z.infer<typeof VoiceActivity>;

/** What made a part; `model_sha256` is null for engines that have no model file. */
export const Engine = z
  .strictObject({ name: z.string(), version: z.string(), model_sha256: Sha256Hex.nullable() })
  .meta({ id: "Engine" });
export type Engine = z.infer<typeof Engine>;

/** The result of an analysis. Times count from the first sample, in seconds. A part that was not asked for is absent. */
export const AnalysisResult = z
  .strictObject({
    audio: AudioFacts,
    voice_activity: z.union([VoiceActivity, UnavailablePart]).optional(),
    features: UnavailablePart.optional(),
    speaking_rate: UnavailablePart.optional(),
    transcript: UnavailablePart.optional(),
    emotion: UnavailablePart.optional(),
    age: UnavailablePart.optional(),
    sex: UnavailablePart.optional(),
    engines: z.record(z.string(), Engine),
    cache: z.record(z.string(), z.enum(["hit", "miss"])),
    timings_ms: z.record(z.string(), z.number().min(0)),
    cost: JobCost,
    epoch: Epoch,
    region: z.string(),
  })
  .meta({ id: "AnalysisResult" });
export type AnalysisResult = z.infer<typeof AnalysisResult>;

import { z } from "zod";
import { AnalysisResult, Engine, UnavailablePart, VoiceActivity } from "./analysis-result.ts";
import { AnalysisPart } from "./job.ts";

const { audio, features, speaking_rate, transcript, emotion, age, sex } = AnalysisResult.shape;

/** What a stage gave, and the engines that it took to make it, by the names that they have in a result. */
const made = <T extends z.ZodType>(value: T) =>
  z.strictObject({ engines: z.record(z.string(), Engine), value });

/** What the stages of one recording gave: `decode` the facts of it, every other one the part of that name. */
export const Stages = z
  .strictObject({
    decode: made(audio.omit({ sha256: true, bytes: true })),
    voice_activity: made(VoiceActivity),
    features: made(features.unwrap()),
    speaking_rate: made(speaking_rate.unwrap()),
    transcript: made(transcript.unwrap()),
    emotion: made(emotion.unwrap()),
    age: made(age.unwrap()),
    sex: made(sex.unwrap()),
  })
  .partial();
export type Stages = z.infer<typeof Stages>;

export const StageName = z.enum(["decode", ...AnalysisPart.options]);
export type StageName = z.infer<typeof StageName>;

/** What a stage is called in a result's `engines`, `cache` and `timings_ms`. */
export const labelOf = (stage: StageName): string =>
  stage === "transcript" ? "transcribe" : stage;

/** What would make each part of an analysis, where the worker that planned it runs. */
export const StagePlan = z.strictObject({
  /**
   * All that decides what a stage gives, besides the recording: engines, hashes of models, parameters, and the same of
   * the stages that it needs. Equal recordings of equal identities give equal outcomes.
   */
  identities: z.partialRecord(StageName, z.string()),
  /** Parts that nothing can make there, and why. */
  unavailable: z.partialRecord(AnalysisPart, UnavailablePart),
});
export type StagePlan = z.infer<typeof StagePlan>;

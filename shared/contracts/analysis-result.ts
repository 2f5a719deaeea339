import { z } from "zod";
import { egemapsNames } from "./egemaps-names.ts";
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

/** Values of each moment of a recording, `hop_s` apart: 10 ms, or a multiple of it where a recording is longer than an hour. */
export const FeatureTracks = z
  .strictObject({
    hop_s: z.number().positive(),
    f0_hz: z
      .array(z.number().min(0))
      .meta({ description: "Fundamental frequency; 0 where there is no voice." }),
    loudness: z.array(z.number().min(0)).meta({ description: "Sum of the auditory spectrum." }),
  })
  .meta({ id: "FeatureTracks" });
export type FeatureTracks = z.infer<typeof FeatureTracks>;

export const Formant = z
  .strictObject({ frequency_hz: z.number().positive(), bandwidth_hz: z.number().min(0) })
  .meta({ id: "Formant" });

/** A value is null where the recording has nothing to take it from: no voiced frame, no unvoiced one. */
export const AcousticFeatures = z
  .strictObject({
    set: z.literal("eGeMAPSv02"),
    values: z.record(z.enum(egemapsNames), z.number().nullable()),
    formants: z.array(Formant).max(3).meta({
      description:
        "F1-F3 as resonances of the vocal tract, medians over the voice. The F1-F3 among the values are those of openSMILE, which are no resonances: take them for models that were trained on its figures.",
    }),
    tracks: FeatureTracks,
  })
  .meta({ id: "AcousticFeatures" });
export type AcousticFeatures = z.infer<typeof AcousticFeatures>;

/** Syllables are counted as nuclei: an estimate that misses some unstressed ones. */
export const SpeakingRate = z
  .strictObject({
    syllables: z.int().min(0),
    /** Over the whole recording, pauses included. */
    syllables_per_s: z.number().min(0),
    /** Syllables per second of phonation; null where there is no speech. */
    articulation_rate: z.number().min(0).nullable(),
    /** Time of speech, with the gaps in it that are too short for a pause. */
    phonation_s: z.number().min(0),
    /** Gaps of 0.3 s and more between speech. */
    pauses: z.strictObject({ count: z.int().min(0), total_s: z.number().min(0) }),
    method: z.string(),
  })
  .meta({ id: "SpeakingRate" });
export type SpeakingRate = z.infer<typeof SpeakingRate>;

/** How much of a recording a model heard: so many windows of speech, together so long. */
const heard = {
  speech_s: z.number().positive(),
  windows: z.int().positive(),
};

const Probability = z.number().min(0).max(1);
const labelled = {
  /** The likeliest of the labels that the model knows. */
  label: z.string(),
  /** Of every label that the model knows; they add up to 1. */
  probabilities: z.record(z.string(), Probability),
};

const Dimension = z.number().min(-1).max(1);

/** Emotion as a trained model hears it: in dimensions, from end to end of the model's own scale, in labels, or in both. */
export const ClassifiedEmotion = z
  .strictObject({
    dimensions: z
      .strictObject({ arousal: Dimension, valence: Dimension, dominance: Dimension })
      .partial()
      .optional(),
    label: labelled.label.optional(),
    probabilities: labelled.probabilities.optional(),
    ...heard,
  })
  .meta({ id: "ClassifiedEmotion" });
export type ClassifiedEmotion = z.infer<typeof ClassifiedEmotion>;

/** How old a voice sounds to a trained model; mistakes of ten years are usual. */
export const Age = z
  .strictObject({
    years: z.number().min(0),
    /** Deviation between the windows of the recording; says nothing of the model's own mistakes. */
    spread_years: z.number().min(0),
    ...heard,
  })
  .meta({ id: "Age" });
export type Age = z.infer<typeof Age>;

/** The sex that a voice sounds of to a trained model. Some models know the label `child` as well. */
export const Sex = z.strictObject({ ...labelled, ...heard }).meta({ id: "Sex" });
export type Sex = z.infer<typeof Sex>;

/** Where a cue stands among calm speech: -1 below all of it, 0 in its middle, 1 above all of it. */
const CueScore = z.number().min(-1).max(1);

/**
 * Vocal arousal by rule: no model, no training. `baseline` tells what calm speech the cues were held against; `global`
 * means other people's, so that the figure ranks recordings of one speaker and microphone and is no verdict on a person.
 */
export const Emotion = z
  .strictObject({
    arousal: z.number().min(-1).max(1),
    confidence: z.number().min(0).max(1),
    method: z.string(),
    baseline: z.enum(["global"]),
    cues: z.strictObject({
      pitch: z.strictObject({ median_hz: z.number().positive(), score: CueScore }),
      intensity: z.strictObject({ median_dbfs: z.number(), score: CueScore }),
      hf500: z.strictObject({ median_db: z.number(), score: CueScore }),
    }),
    /** What a trained model hears beside the rule, or why none does. */
    classified: z.union([ClassifiedEmotion, UnavailablePart]).optional(),
  })
  .meta({ id: "Emotion" });
export type Emotion = z.infer<typeof Emotion>;

/** What to expect of a transcript: `fallback` engines need no model of a hub, and misunderstand more. */
export const TranscriptQuality = z.enum(["full", "fallback"]);
export type TranscriptQuality = z.infer<typeof TranscriptQuality>;

export const TranscriptWord = z.strictObject({
  word: z.string().min(1),
  start_s: z.number().min(0),
  end_s: z.number().min(0),
  confidence: z.number().min(0).max(1).optional(),
});
export type TranscriptWord = z.infer<typeof TranscriptWord>;

/** A stretch of speech as the engine gave it. What it thinks of its own text is there where it says so. */
export const TranscriptSegment = z.strictObject({
  start_s: z.number().min(0),
  end_s: z.number().min(0),
  text: z.string(),
  /** Mean natural logarithm of the probability of each token. */
  average_logprob: z.number().max(0).optional(),
  /** That nobody speaks after all. */
  no_speech_probability: z.number().min(0).max(1).optional(),
});
export type TranscriptSegment = z.infer<typeof TranscriptSegment>;

/** What was said. A recording without speech has an empty text and no segments. */
export const Transcript = z
  .strictObject({
    text: z.string(),
    language: z.string().meta({
      description:
        "ISO 639-1: what was asked for, or else what most of the speech was found to be; `und` where that is not known",
    }),
    quality: TranscriptQuality,
    words: z.array(TranscriptWord).optional(),
    word_times: z.enum(["measured", "estimated"]).optional().meta({
      description: "`estimated`: shared out within a segment by the length of its words",
    }),
    segments: z.array(TranscriptSegment),
  })
  .meta({ id: "Transcript" });
export type Transcript = z.infer<typeof Transcript>;

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
    features: z.union([AcousticFeatures, UnavailablePart]).optional(),
    speaking_rate: z.union([SpeakingRate, UnavailablePart]).optional(),
    transcript: z.union([Transcript, UnavailablePart]).optional(),
    emotion: z.union([Emotion, UnavailablePart]).optional(),
    age: z.union([Age, UnavailablePart]).optional(),
    sex: z.union([Sex, UnavailablePart]).optional(),
    engines: z.record(z.string(), Engine),
    cache: z.record(z.string(), z.enum(["hit", "miss"])),
    timings_ms: z.record(z.string(), z.number().min(0)),
    cost: JobCost,
    epoch: Epoch,
    region: z.string(),
  })
  .meta({ id: "AnalysisResult" });
export type AnalysisResult = z.infer<typeof AnalysisResult>;

/** Which of a region's stores a result was read from. */
export const ResultSource = z.enum(["redis", "postgres", "s3"]).meta({ id: "ResultSource" });
export type ResultSource = z.infer<typeof ResultSource>;

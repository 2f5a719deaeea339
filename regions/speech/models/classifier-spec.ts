import { z } from "zod";

const tensorName = z.string().min(1).max(100);
const label = z.string().regex(/^[a-z][a-z0-9_]{0,31}$/);
const labels = z
  .array(label)
  .min(2)
  .max(64)
  .refine((all) => new Set(all).size === all.length, "has a label twice");
/** What a model's figures become before they are pooled: probabilities, or what they are. */
const activation = z.enum(["softmax", "none"]);

/** One output of a classifier and what its columns mean, in their order. */
export const ClassifierHead = z.discriminatedUnion("gives", [
  z.strictObject({
    gives: z.literal("emotion_dimensions"),
    output: tensorName,
    columns: z
      .array(z.enum(["arousal", "valence", "dominance"]))
      .min(1)
      .max(3),
    /** The ends of the model's scale; results are on a scale from -1 to 1. */
    range: z.tuple([z.number(), z.number()]).refine(([low, high]) => low < high, "is empty"),
  }),
  z.strictObject({
    gives: z.literal("emotion_labels"),
    output: tensorName,
    labels,
    activation,
  }),
  z.strictObject({
    gives: z.literal("age"),
    output: tensorName,
    /** Years that the figure 1 stands for. */
    years: z.number().positive(),
  }),
  z.strictObject({ gives: z.literal("sex"), output: tensorName, labels, activation }),
  z.strictObject({
    gives: z.literal("speaker_embedding"),
    output: tensorName,
    size: z.int().min(2).max(4096),
  }),
]);
export type ClassifierHead = z.infer<typeof ClassifierHead>;

/** How a model that hears a voice is fed, and what it gives. Its input is 16 kHz mono: [windows, samples], float32. */
export const ClassifierSpec = z
  .strictObject({
    input: tensorName,
    /** Fed with ones of type int64 where the graph has such an input. */
    mask: tensorName.optional(),
    /** `unit_variance`: each window less its mean, over its deviation, as wav2vec 2.0 models were trained. */
    normalize: z.enum(["none", "unit_variance"]),
    /** Less speech than this gives nothing, seconds. */
    min_speech_s: z.number().min(0.1).max(60),
    /** Longest window, seconds: bounds the memory of a run. */
    window_s: z.number().min(0.5).max(60),
    heads: z.array(ClassifierHead).min(1).max(8),
  })
  .refine(({ min_speech_s, window_s }) => min_speech_s <= window_s, {
    error: "wants more speech than a window holds",
  });
export type ClassifierSpec = z.infer<typeof ClassifierSpec>;

import { z } from "zod";
import { TranscriptQuality } from "./analysis-result.ts";
import { TranscriptModel } from "./spoken-language.ts";

/** OpenAI's names and our own that stand for no certain model, but for the best engine that is installed. */
export const bestModels: readonly string[] = [
  "whisper-1",
  "gpt-4o-transcribe",
  "gpt-4o-mini-transcribe",
  "antiphon-1",
];

export const TranscriptionFormat = z
  .enum(["json", "text", "verbose_json", "srt", "vtt"])
  .meta({ id: "TranscriptionFormat" });
export type TranscriptionFormat = z.infer<typeof TranscriptionFormat>;

export const TimestampGranularity = z.enum(["word", "segment"]);
export type TimestampGranularity = z.infer<typeof TimestampGranularity>;

/** Fields of OpenAI's form, without the file. Fields that are not here are passed over, as OpenAI does. */
export const TranscriptionForm = z
  .object({
    model: TranscriptModel.meta({
      description: `Of the manifest of models; ${bestModels.join(", ")} stand for the best one that is installed`,
    }),
    language: z.string().min(1).max(35).optional().meta({
      description:
        "ISO 639-1, such as en, or the language's name; found out when absent, by engines that can; `language_unsupported` where no engine has it",
    }),
    prompt: z.string().max(10_000).optional().meta({ description: "Accepted; no engine heeds it" }),
    response_format: TranscriptionFormat.default("json"),
    temperature: z.coerce.number().min(0).max(1).default(0).meta({
      description: "Accepted; no engine heeds it",
    }),
    stream: z.enum(["true", "false"]).default("false").meta({
      description:
        "true: server-sent events, one for each segment and one for the whole; they come once the transcript is made. For json and text",
    }),
    "timestamp_granularities[]": z
      .array(TimestampGranularity)
      .max(2)
      .optional()
      .meta({ description: "For verbose_json; segment when absent" }),
  })
  .refine((form) => form.stream === "false" || ["json", "text"].includes(form.response_format), {
    path: ["stream"],
    message: "needs response_format json or text",
  })
  .refine(
    (form) =>
      form["timestamp_granularities[]"] === undefined || form.response_format === "verbose_json",
    { path: ["timestamp_granularities[]"], message: "needs response_format verbose_json" },
  );
export type TranscriptionForm = z.infer<typeof TranscriptionForm>;

/** `response_format: json` */
export const Transcription = z.strictObject({ text: z.string() }).meta({ id: "Transcription" });

/** `response_format: verbose_json`; `quality` is ours, the rest is OpenAI's. */
export const VerboseTranscription = z
  .strictObject({
    task: z.literal("transcribe"),
    language: z.string().meta({ description: "In words, such as english" }),
    duration: z.number().min(0),
    text: z.string(),
    quality: TranscriptQuality,
    words: z
      .array(z.strictObject({ word: z.string(), start: z.number(), end: z.number() }))
      .optional(),
    segments: z
      .array(
        z.strictObject({
          id: z.int(),
          seek: z.int(),
          start: z.number(),
          end: z.number(),
          text: z.string(),
          tokens: z.array(z.int()),
          temperature: z.number(),
          avg_logprob: z.number(),
          compression_ratio: z.number(),
          no_speech_prob: z.number(),
        }),
      )
      .optional(),
  })
  .meta({ id: "VerboseTranscription" });
export type VerboseTranscription = z.infer<typeof VerboseTranscription>;

import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import {
  BODY_ERRORS,
  call,
  header,
  headers,
  idempotent,
  KEY_ERRORS,
  routed,
} from "./openapi-call.ts";
import { Transcription, TranscriptionForm, VerboseTranscription } from "./transcription.ts";

const text = { schema: z.string() };

/** The call that makes a transcript; a part of the API's description. */
export const transcriptionPaths: ZodOpenApiPathsObject = {
  "/v1/audio/transcriptions": {
    post: call(
      {
        operationId: "createTranscription",
        summary: "Transcribe a recording",
        tags: ["Speech"],
        description:
          "OpenAI's call: its clients work with `base_url` set to this API. Files up to 25 MB, few at once of more than 1 MiB (`too_many_in_flight`, `system_busy`: come again after a second); for longer ones make an upload and an analysis with `parts: [\"transcript\"]`, which gives the same transcript. OpenAI's model names stand for the best engine that is installed; `X-Antiphon-Quality: fallback` tells of one that misunderstands more. Errors carry OpenAI's `error` member besides the problem's own. In `verbose_json`, `tokens`, `seek` and `compression_ratio` are not measured: empty, 0 and 1; `no_speech_prob` is 0 where the engine has none.",
        requestParams: {
          header: headers({
            ...idempotent,
            ...routed,
            Prefer: z.string().optional().meta({
              description: "`wait=N`: wait up to N seconds (300 at most, and when absent).",
            }),
          }),
        },
        requestBody: {
          required: true,
          content: {
            "multipart/form-data": {
              schema: z.object({
                file: z.string().meta({ format: "binary" }),
                ...TranscriptionForm.shape,
              }),
            },
          },
        },
      },
      [
        {
          status: 200,
          description: "The transcript in the format that was asked for",
          content: {
            "application/json": { schema: z.union([Transcription, VerboseTranscription]) },
            "text/plain": text,
            "text/vtt": text,
            "text/event-stream": text,
          },
          headers: {
            "X-Antiphon-Job": header("The job, whose result can be read for 30 days"),
            "X-Antiphon-Quality": header("`full` or `fallback`"),
            "X-Antiphon-Engine": header("Name and version of what listened"),
          },
        },
      ],
      [
        ...KEY_ERRORS,
        ...BODY_ERRORS.filter((code) => code !== "malformed_json"),
        "language_unsupported",
        "model_unavailable",
        "model_unusable",
        "audio_empty",
        "audio_unsupported",
        "audio_truncated",
        "audio_corrupt",
        "audio_too_long",
        "system_busy",
        "job_attempts_exhausted",
        "job_unfinished",
        "not_available",
        "region_unavailable",
      ],
    ),
  },
};

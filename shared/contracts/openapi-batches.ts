import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { Job } from "./api.ts";
import {
  BODY_ERRORS,
  call,
  header,
  headers,
  idempotent,
  json,
  KEY_ERRORS,
  routed,
} from "./openapi-call.ts";
import { CreateSpeechJob, SpeechJobAccepted } from "./speech-jobs.ts";

/** The calls that make jobs of speech; a part of the API's description. */
export const batchPaths: ZodOpenApiPathsObject = {
  "/v1/audio/speech/async": {
    post: call(
      {
        operationId: "createSpeechJob",
        summary: "Speak a text as a job",
        tags: ["Speech"],
        description:
          "The audio is at the job's `audio_url` once it has succeeded. The same text, voice, speed and format are found again. Needs the scope `speak`.",
        requestParams: {
          header: headers({
            ...idempotent,
            ...routed,
            Prefer: z.string().optional().meta({
              description: "`wait=N`: wait up to N seconds (60 at most) for the audio.",
            }),
          }),
        },
        requestBody: { required: true, content: json(CreateSpeechJob) },
      },
      [
        {
          status: 200,
          description: "The job, final within the preferred wait",
          content: json(Job),
        },
        {
          status: 202,
          description: "The job was accepted, and will be kept",
          content: json(SpeechJobAccepted),
          headers: { Location: header("Where to ask for the job") },
        },
      ],
      [
        ...KEY_ERRORS,
        ...BODY_ERRORS,
        "text_empty",
        "text_language_unsupported",
        "language_unsupported",
        "voice_not_installed",
        "system_busy",
        "region_unavailable",
      ],
    ),
  },
};

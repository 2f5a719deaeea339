import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { Job } from "./api.ts";
import { Batch, BatchAccepted, BatchEntry, CreateSpeechBatch, GetBatch } from "./batches.ts";
import { BatchId, JobId } from "./ids.ts";
import { JobEventState } from "./job-events.ts";
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
  "/v1/audio/speech/batch": {
    post: call(
      {
        operationId: "createSpeechBatch",
        summary: "Speak up to 10,000 texts as jobs",
        tags: ["Speech"],
        description:
          "Accepted as a whole, in a body of up to 16 MB, few at once of more than 1 MiB (`too_many_in_flight`, `system_busy`: come again after a second). Each item becomes a job; one that is wrong becomes a job that fails with its own error, and the others are done. Needs the scope `speak`.",
        requestParams: { header: headers({ ...idempotent, ...routed }) },
        requestBody: { required: true, content: json(CreateSpeechBatch) },
      },
      [
        {
          status: 202,
          description: "All jobs were accepted, and will be kept",
          content: json(BatchAccepted),
          headers: { Location: header("Where to ask for the batch") },
        },
      ],
      [...KEY_ERRORS, ...BODY_ERRORS, "system_busy", "region_unavailable"],
    ),
  },
  "/v1/batches/{id}": {
    get: call(
      {
        operationId: "getBatch",
        summary: "See how a batch stands, with its manifest page by page",
        tags: ["Speech"],
        description: "A batch can be read for 30 days. Needs the scope `speak`.",
        requestParams: {
          path: z.object({ id: BatchId }),
          query: GetBatch,
          header: headers(),
        },
      },
      [{ status: 200, description: "The batch", content: json(Batch) }],
      [...KEY_ERRORS, "invalid_request", "batch_not_found"],
    ),
  },
  "/v1/batches/{id}/manifest": {
    get: call(
      {
        operationId: "getBatchManifest",
        summary: "Get the whole manifest of a batch",
        tags: ["Speech"],
        description: "A BatchEntry a line, in the order of the items. Needs the scope `speak`.",
        requestParams: { path: z.object({ id: BatchId }), header: headers() },
      },
      [
        {
          status: 200,
          description: "The items",
          content: { "application/x-ndjson": { schema: BatchEntry } },
        },
      ],
      [...KEY_ERRORS, "batch_not_found"],
    ),
  },
  "/v1/jobs/{id}/events": {
    get: call(
      {
        operationId: "streamJobEvents",
        summary: "Follow a job as server-sent events",
        tags: ["Analysis"],
        description:
          "`status` and `progress` tell how it stands (JobEventState), `result` is the whole job, and the last event. A client that comes back with `Last-Event-ID` goes on from there; after the `result` it gets 204.",
        requestParams: {
          path: z.object({ id: JobId }),
          header: headers({ "Last-Event-ID": z.string().optional() }),
        },
      },
      [
        {
          status: 200,
          description: "Events, until the job is final",
          content: { "text/event-stream": { schema: JobEventState } },
        },
        { status: 204, description: "Nothing more will come" },
      ],
      [...KEY_ERRORS, "job_not_found", "too_many_in_flight", "system_busy"],
    ),
  },
};

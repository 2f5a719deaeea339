import { z } from "zod";
import { createDocument, type oas31 } from "zod-openapi";
import {
  CompletedUpload,
  CompleteUpload,
  CreateUpload,
  Durability,
  Job,
  JobList,
  RegionList,
  Upload,
  UploadInParts,
} from "./api.ts";
import { JobId, UploadId } from "./ids.ts";
import { CreateAnalysis, DeadlineS, Priority, UserId } from "./job.ts";
import { adminPaths } from "./openapi-admin.ts";
import { batchPaths } from "./openapi-batches.ts";
import { deleteJobCall, deletionPaths } from "./openapi-deletions.ts";
import { modelPaths } from "./openapi-models.ts";
import { deadLetterPaths } from "./openapi-dead-letters.ts";
import { cancelPaths } from "./openapi-cancel.ts";
import { reportPaths } from "./openapi-reports.ts";
import { speechPaths } from "./openapi-speech.ts";
import { transcriptionPaths } from "./openapi-transcription.ts";
import { webhookPaths } from "./openapi-webhooks.ts";
import {
  audioCall,
  BODY_ERRORS,
  call,
  header,
  headers,
  idempotent,
  json,
  KEY_ERRORS,
  open,
  routed,
} from "./openapi-call.ts";

/** Query of `GET /v1/jobs`. */
export const ListJobs = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .meta({ description: "`next_cursor` of the page before" }),
  user_id: UserId.optional().meta({ description: "Only jobs of this end user" }),
});

/** Query of `GET /v1/jobs/{id}`. */
export const GetJobQuery = z.object({
  audio_ip: z.union([z.ipv4(), z.ipv6()], { error: "must be an IP address" }).optional().meta({
    description:
      "The address of whoever will listen: `audio_url` then works from its network alone (/24, of IPv6 /48)",
  }),
});

const AliveResponse = z.strictObject({ status: z.string() });
const ReadyResponse = z.strictObject({
  status: z.enum(["ready", "not_ready"]),
  checks: z.record(z.string(), z.enum(["ok", "failed"])),
});

/** The OpenAPI 3.1 description of the public API, generated from the schemas that the edge checks with. */
export function describeApi(): oas31.OpenAPIObject {
  return createDocument({
    openapi: "3.1.0",
    info: {
      title: "Antiphon",
      version: "1.0.0",
      description:
        "Voice analysis over many regions. Send `Authorization: Bearer <key>`, or a token of an issuer that is set up for your tenant. `RateLimit` and `RateLimit-Policy` on every answer tell of your limits. Every answer carries `X-Request-Id`; errors are RFC 9457 problems whose `code` is the contract. Times are RFC 3339, units are in the names.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ api_key: [] }],
    tags: [
      { name: "Deletion", description: "Delete-my-data, with signed receipts" },
      { name: "Analysis", description: "From a recording to a result" },
      { name: "Speech", description: "From a text to a voice" },
      { name: "Audio", description: "Recordings, delivered by signed URLs" },
      { name: "Webhooks", description: "What happened, told to your own server" },
      { name: "Admin", description: "Tenants and keys; needs the scope `admin`" },
      { name: "Operations", description: "What runs where, and whether it does" },
    ],
    components: {
      securitySchemes: {
        api_key: { type: "http", scheme: "bearer", bearerFormat: "ak_<environment>_<secret>" },
      },
    },
    paths: {
      "/v1/uploads": {
        post: call(
          {
            operationId: "createUpload",
            summary: "Get a presigned URL for a recording",
            tags: ["Analysis"],
            description:
              'PUT the file to `url` with `headers` and its Content-Length within 15 minutes. Length, type and, when given, SHA-256 are part of the signature. A file of more than 100 MiB (2 GiB at most) comes in parts: PUT each to its own `url` within six hours, keep the `ETag` of each answer, then complete the upload. Of parts the length is signed. With `durability: "multi_region"` an analysis of it is accepted once two regions have the recording: that may take some seconds, and is answered with a retryable 503 where it takes longer.',
            requestParams: { header: headers({ ...idempotent, ...routed }) },
            requestBody: { required: true, content: json(CreateUpload) },
          },
          [
            {
              status: 201,
              description: "Where to PUT the file, or its parts",
              content: json(z.union([Upload, UploadInParts])),
            },
          ],
          [...KEY_ERRORS, ...BODY_ERRORS, "upload_too_large", "region_unavailable"],
        ),
      },
      "/v1/uploads/{id}/complete": {
        post: call(
          {
            operationId: "completeUpload",
            summary: "Put the parts of an upload together",
            tags: ["Analysis"],
            description:
              "May be repeated. What is not completed within a day is removed with its parts.",
            requestParams: { path: z.object({ id: UploadId }), header: headers() },
            requestBody: { required: true, content: json(CompleteUpload) },
          },
          [{ status: 200, description: "It can be analysed", content: json(CompletedUpload) }],
          [
            ...KEY_ERRORS,
            ...BODY_ERRORS.filter((code) => !/idempotency|in_progress/.test(code)),
            "upload_not_found",
          ],
        ),
      },
      "/v1/analyses": {
        post: call(
          {
            operationId: "createAnalysis",
            summary: "Analyse a recording",
            tags: ["Analysis"],
            description:
              "Takes the id of an upload as JSON, or the recording itself as the body (up to 25 MB, with Content-Length; parts, priority, user_id, deadline_s and durability then go into the query).",
            requestParams: {
              query: z.object({
                parts: z
                  .string()
                  .optional()
                  .meta({ description: "Comma-separated; for a body of audio" }),
                priority: Priority.optional().meta({ description: "For a body of audio" }),
                user_id: UserId.optional().meta({ description: "For a body of audio" }),
                deadline_s: DeadlineS.optional().meta({ description: "For a body of audio" }),
                durability: Durability.meta({
                  description: "For a body of audio: `multi_region` as for `POST /v1/uploads`",
                }),
              }),
              header: headers({
                ...idempotent,
                ...routed,
                Prefer: z.string().optional().meta({
                  description: "`wait=N`: wait up to N seconds (60 at most) for the result.",
                }),
              }),
            },
            requestBody: {
              required: true,
              content: {
                ...json(CreateAnalysis),
                "audio/*": { schema: z.string().meta({ format: "binary" }) },
              },
            },
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
              content: json(Job),
              headers: { Location: header("Where to ask for the job") },
            },
          ],
          [
            ...KEY_ERRORS,
            ...BODY_ERRORS,
            "upload_not_found",
            "upload_too_large",
            "audio_empty",
            "system_busy",
            "region_unavailable",
          ],
        ),
      },
      "/v1/jobs": {
        get: call(
          {
            operationId: "listJobs",
            summary: "List jobs, newest first",
            tags: ["Analysis"],
            requestParams: { query: ListJobs, header: headers(routed) },
          },
          [{ status: 200, description: "One page", content: json(JobList) }],
          [...KEY_ERRORS, "invalid_request", "region_unavailable"],
        ),
      },
      "/v1/jobs/{id}": {
        delete: deleteJobCall,
        get: call(
          {
            operationId: "getJob",
            summary: "Get a job, with its result once it is final",
            tags: ["Analysis"],
            description:
              "A final job can be read here for 30 days. It has an `ETag`: with `If-None-Match` the answer is 304 while `audio_url`, too, is what you have.",
            requestParams: {
              path: z.object({ id: JobId }),
              query: GetJobQuery,
              header: headers({ "If-None-Match": z.string().optional() }),
            },
          },
          [
            { status: 200, description: "The job", content: json(Job) },
            { status: 304, description: "What the client has is still right" },
          ],
          [...KEY_ERRORS, "invalid_request", "job_not_found"],
        ),
      },
      ...cancelPaths,
      ...deletionPaths,
      ...reportPaths,
      ...speechPaths,
      ...batchPaths,
      ...transcriptionPaths,
      ...modelPaths,
      ...webhookPaths,
      "/v1/audio/{region}/{file}": {
        get: audioCall("getAudio", "Get a recording"),
        head: audioCall("headAudio", "Get a recording's length and type"),
      },
      "/v1/regions": {
        get: call(
          {
            operationId: "listRegions",
            summary: "Health and load of every region",
            tags: ["Operations"],
            requestParams: { header: headers() },
          },
          [{ status: 200, description: "The regions", content: json(RegionList) }],
          KEY_ERRORS,
        ),
      },
      ...adminPaths,
      ...deadLetterPaths,
      "/healthz": {
        get: call(
          {
            operationId: "isAlive",
            summary: "Whether the edge is alive",
            tags: ["Operations"],
            ...open,
          },
          [{ status: 200, description: "It is", content: json(AliveResponse) }],
          [],
        ),
      },
      "/readyz": {
        get: call(
          {
            operationId: "isReady",
            summary: "Whether any region can serve",
            tags: ["Operations"],
            ...open,
          },
          [
            { status: 200, description: "At least one can", content: json(ReadyResponse) },
            { status: 503, description: "None can", content: json(ReadyResponse) },
          ],
          [],
        ),
      },
      "/metrics": {
        get: call(
          {
            operationId: "getMetrics",
            summary: "Counters of this isolate",
            tags: ["Operations"],
            ...open,
          },
          [
            {
              status: 200,
              description: "Prometheus text",
              content: { "text/plain": { schema: z.string() } },
            },
          ],
          [],
        ),
      },
      "/openapi.json": {
        get: call(
          {
            operationId: "getDescription",
            summary: "This document",
            tags: ["Operations"],
            ...open,
          },
          [
            {
              status: 200,
              description: "OpenAPI 3.1",
              content: json(z.record(z.string(), z.unknown())),
            },
          ],
          [],
        ),
      },
      "/docs": {
        get: call(
          {
            operationId: "getReference",
            summary: "This document as a page",
            tags: ["Operations"],
            ...open,
          },
          [
            {
              status: 200,
              description: "A page",
              content: { "text/html": { schema: z.string() } },
            },
          ],
          [],
        ),
      },
    },
  });
}

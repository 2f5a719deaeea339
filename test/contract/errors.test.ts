import fc from "fast-check";
import { expect, test } from "vitest";
import type { z } from "zod";
import { CompleteUpload, CreateUpload } from "../../shared/contracts/api.ts";
import { CreateSpeechBatchLoosely, SpeechItem } from "../../shared/contracts/batches.ts";
import { PickDeadLetters } from "../../shared/contracts/dead-letters.ts";
import { catalogue, type ErrorCode } from "../../shared/errors/catalogue.ts";
import { CreateDeletion } from "../../shared/contracts/deletions.ts";
import { CreateAnalysis } from "../../shared/contracts/job.ts";
import { ListJobs } from "../../shared/contracts/openapi.ts";
import { CreateSpeech } from "../../shared/contracts/speech.ts";
import { ChangeTenant } from "../../shared/contracts/tenant-settings.ts";
import { GetUsage } from "../../shared/contracts/usage.ts";
import { GetUserHistory } from "../../shared/contracts/user-history.ts";
import {
  CreateWebhookEndpoint,
  ListWebhookDeliveries,
  RotateWebhookSecret,
} from "../../shared/contracts/webhooks.ts";
import {
  ApiError,
  checkRequest,
  Problem,
  problemResponse,
  toProblem,
} from "../../shared/errors/problem.ts";

test.each(Object.keys(catalogue) as ErrorCode[])(
  "%s answers as the catalogue says",
  async (code) => {
    const response = problemResponse(new ApiError(code), "req_1");
    expect(response.status).toBe(catalogue[code].status);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    const problem = Problem.parse(await response.json());
    expect(problem).toMatchObject({
      code,
      request_id: "req_1",
      retryable: catalogue[code].retryable,
    });
    if ([429, 503].includes(response.status))
      expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
  },
);

test("nothing of an unforeseen error is shown to the client", () => {
  const problem = toProblem(new Error("password=hunter2 at /srv/app/db.ts:12"), "req_1");
  expect(problem.code).toBe("internal");
  expect(JSON.stringify(problem)).not.toMatch(/hunter2|db\.ts/);
});

const UPLOAD = "upl_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d";
const HOOK = "https://example.com/hook";
const SHA = "0".repeat(64);
const aPart = { part_number: 1, etag: "e" };
const voice = { input: "Hello." };

const badRequests: [schema: z.ZodType, request: unknown, errors: Record<string, string>][] = [
  [CreateAnalysis, {}, { upload_id: "is missing" }],
  [CreateAnalysis, [], { "": "must be an object" }],
  [CreateAnalysis, { upload_id: "x" }, { upload_id: "is not the id of an upload" }],
  [CreateAnalysis, { upload_id: 7 }, { upload_id: "must be text" }],
  [CreateAnalysis, { upload_id: UPLOAD, parts: [] }, { parts: "must not be empty" }],
  [CreateAnalysis, { upload_id: UPLOAD, parts: "transcript" }, { parts: "must be a list" }],
  [
    CreateAnalysis,
    { upload_id: UPLOAD, priority: "high", webhook_url: HOOK, webhook_include_result: "yes" },
    {
      priority: "must be one of interactive, standard, batch",
      webhook_include_result: "must be true or false",
    },
  ],
  [
    CreateAnalysis,
    { upload_id: UPLOAD, deadline_s: 0.5, user_id: "", metadata: { ["n".repeat(65)]: "x", b: 1 } },
    {
      user_id: "must not be empty",
      [`metadata.${"n".repeat(65)}`]: "has a name that must have 64 characters at most",
      "metadata.b": "must be text",
      deadline_s: "must be 1 at least",
    },
  ],
  [
    CreateUpload,
    { content_type: "audio/wav", bytes: 1.5, sha256: SHA, file: "a.wav", durable: true },
    {
      bytes: "must be a whole number",
      file: "is not a known field",
      durable: "is not a known field",
    },
  ],
  [
    CompleteUpload,
    { multipart_id: "a b", parts: Array.from({ length: 101 }, () => aPart) },
    {
      multipart_id: "does not have the form that it must have",
      parts: "must have 100 items at most",
    },
  ],
  [CreateSpeech, { text: "Hello." }, { input: "is missing", text: "is not a known field" }],
  [CreateSpeech, { ...voice, speed: "2" }, { speed: "must be a number" }],
  [SpeechItem, {}, { input: "is missing" }],
  [
    SpeechItem,
    { ...voice, text: "Hello." },
    { text: "is another name of `input`, which is there too" },
  ],
  [
    SpeechItem,
    { text: "", voice_id: "-" },
    { text: "must not be empty", voice_id: "is no name of a voice; see GET /v1/voices" },
  ],
  [CreateSpeechBatchLoosely, { items: [] }, { items: "must not be empty" }],
  [
    CreateWebhookEndpoint,
    { url: HOOK, events: ["job.done"] },
    { "events.0": "must be one of job.succeeded, job.failed, job.canceled" },
  ],
  [RotateWebhookSecret, { overlap_s: 1e9 }, { overlap_s: "must be 604800 at most" }],
  [
    ChangeTenant,
    { limits: { per_second: 1, per_minute: null } },
    { "limits.per_minute": "must be a number", "limits.in_flight": "is missing" },
  ],
  [
    ChangeTenant,
    { jwt_issuers: [{ issuer: "i", audience: "a", jwks_uri: "keys", scopes: ["admin"] }] },
    {
      "jwt_issuers.0.jwks_uri": "must be a URL",
      "jwt_issuers.0.scopes.0": "must be one of analyze, speak",
    },
  ],
  [
    GetUsage,
    { from: "yesterday", limit: "0" },
    { from: "must be a day, such as 2026-11-21", limit: "must be 1 at least" },
  ],
  [
    GetUserHistory,
    { features: "pitch" },
    { "features.0": "is not one of the 88 that there are; see the API reference" },
  ],
  [ListJobs, { limit: "abc" }, { limit: "must be a number" }],
  [
    ListWebhookDeliveries,
    { endpoint_id: "7", limit: "1.5" },
    { endpoint_id: "is not the id of a webhook endpoint", limit: "must be a whole number" },
  ],
  [CreateDeletion, {}, { "": "must be one of job_id, user_id and all: true, alone" }],
  [
    CreateDeletion,
    { all: true, user_id: "u" },
    { "": "must be one of job_id, user_id and all: true, alone" },
  ],
  [CreateDeletion, { all: false }, { all: "must be true" }],
  [CreateDeletion, { user_id: "a b" }, { user_id: "must be printable ASCII without spaces" }],
  [PickDeadLetters, { ids: ["x"] }, { "ids.0": "is not the id of a dead letter" }],
];

test.each(badRequests)(
  "what is wrong with a request is said by field, in words for whoever sent it (%#)",
  (schema, request, errors) => {
    const refused = checkRequest(schema, request);
    expect(refused.ok ? "taken" : refused.errors).toEqual(
      Object.entries(errors).map(([path, message]) => ({ path, message })),
    );
  },
);

test("whatever is sent, no answer speaks of types and patterns as the code knows them", () => {
  const schemas = [...new Set(badRequests.map(([schema]) => schema as z.ZodObject))];
  const scalar = fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constant(null));
  const value = fc.oneof(scalar, fc.array(scalar), fc.dictionary(fc.string(), scalar));
  for (const schema of schemas) {
    const fields = Object.keys(schema.shape ?? {});
    const request = fc.dictionary(fc.constantFrom(...fields, "other"), value);
    fc.assert(
      fc.property(fc.oneof(request, value), (sent) => {
        const refused = checkRequest(schema, sent);
        const said = refused.ok ? [] : refused.errors.map(({ message }) => message);
        expect(said.join("\n")).not.toMatch(
          /Invalid|Too|Unrecognized|expected|received|[<>]=|undefined/,
        );
      }),
      { numRuns: 50 },
    );
  }
});

test("of a request with very many faults some are told", () => {
  const parts = Array.from({ length: 50 }, () => ({ part_number: 1, etag: "" }));
  const refused = checkRequest(CompleteUpload, { multipart_id: "m", parts });
  const paths = refused.ok ? [] : refused.errors.map(({ path }) => path);
  expect([paths.length, new Set(paths).size]).toEqual([20, 20]);
});

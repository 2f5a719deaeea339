import { describe, expect, test } from "vitest";
import { catalogue, type ErrorCode } from "../../shared/errors/catalogue.ts";
import { mintJobId, mintUploadId } from "../../shared/contracts/ids.ts";
import { regions } from "../../shared/contracts/regions.ts";
import {
  analyzeBytes,
  clientOf,
  eventually,
  fixture,
  planet,
  rows,
  sample,
  wavOf,
} from "./planet-under-test.ts";

const client = clientOf();

async function call(path: string, init: RequestInit & { key?: string | null } = {}) {
  const { key = planet.keys.demo, ...rest } = init;
  const headers = new Headers(rest.headers);
  if (key !== null) headers.set("authorization", `Bearer ${key}`);
  const response = await fetch(planet.edge + path, { ...rest, headers });
  return { response, problem: (await response.json()) as Record<string, unknown> };
}

async function expectProblem(
  code: ErrorCode,
  path: string,
  init: RequestInit & { key?: string | null } = {},
) {
  const { response, problem } = await call(path, init);
  expect(problem).toMatchObject({ code, status: catalogue[code].status });
  expect(response.status).toBe(catalogue[code].status);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("x-request-id")).toBe(problem.request_id);
  return problem;
}

const postJson = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

describe("a recording that cannot be analysed ends its job with an error of its own", () => {
  test.each<[string, string, string, ErrorCode]>([
    ["not audio", "not-audio.wav", "audio/wav", "audio_unsupported"],
    ["a text that calls itself mp3", "not-audio.wav", "audio/mpeg", "audio_unsupported"],
    ["a wav without samples", "zero-seconds.wav", "audio/wav", "audio_empty"],
    ["a wav cut short", "truncated.wav", "audio/wav", "audio_truncated"],
    ["an mp3 that calls itself flac", "speech.mp3", "audio/flac", "audio_mislabelled"],
  ])("%s", async (_, file, contentType, code) => {
    const job = await analyzeBytes(client, await fixture(file), contentType);
    expect(job).toMatchObject({ status: "failed", attempt: 1, error: { code } });
    expect(job.result).toBeUndefined();
    expect(job.audio_url).toBeUndefined();
    await eventually(
      async () => (await rows("us-east", "select 1 from jobs where id = $1", [job.id]))[0],
    );
    const results = await rows("us-east", "select 1 from results where job_id = $1", [job.id]);
    expect(results).toEqual([]);
  });

  test("a recording of ten hours is too long", async () => {
    // 8 bits at 1 kHz, where 128 is silence.
    const tenHoursOfSilence = wavOf(Buffer.alloc(36_000_000, 128), { rate: 1000, bits: 8 });
    const job = await analyzeBytes(client, tenHoursOfSilence, "audio/wav");
    expect(job).toMatchObject({ status: "failed", error: { code: "audio_too_long" } });
  });
});

test("silence is a result: no speech, no error", async () => {
  const job = await analyzeBytes(client, await fixture("silence.wav"));
  expect(job).toMatchObject({
    status: "succeeded",
    result: {
      audio: { level: { silent: true, rms_dbfs: null, peak_dbfs: null } },
      voice_activity: { speech_ratio: 0, segments: [] },
    },
  });
});

test.each([
  ["speech.flac", "audio/flac"],
  ["speech.mp3", "audio/mpeg"],
  ["speech-opus.ogg", "audio/ogg"],
  ["speech.m4a", "audio/mp4"],
  ["speech.webm", "audio/webm"],
])("%s is analysed", async (file, contentType) => {
  const job = await analyzeBytes(client, await fixture(file), contentType);
  expect(job.status).toBe("succeeded");
  expect(job.result!.voice_activity).toMatchObject({ segments: [expect.anything()] });
});

describe("an upload", () => {
  test("that never came is not analysed", async () => {
    const upload = await client.createUpload({ content_type: "audio/wav", bytes: 1000 });
    await expectProblem(
      "upload_not_found",
      "/v1/analyses",
      postJson({ upload_id: upload.upload_id }),
    );
  });

  test("of nothing is refused before it begins", async () => {
    const problem = await expectProblem(
      "invalid_request",
      "/v1/uploads",
      postJson({ content_type: "audio/wav", bytes: 0 }),
    );
    expect(problem.errors).toEqual([{ path: "bytes", message: expect.any(String) }]);
  });

  test("of another length, type or content than declared is refused, and leaves nothing", async () => {
    const bytes = await sample();
    const upload = await client.createUpload({
      content_type: "audio/wav",
      bytes: bytes.length,
      sha256: "0".repeat(64),
    });
    const put = (body: Uint8Array<ArrayBuffer>, headers: Record<string, string>) =>
      fetch(upload.url, { method: "PUT", body, headers: { ...upload.headers, ...headers } });
    expect((await put(bytes.subarray(1), {})).status).toBe(403);
    expect((await put(bytes, { "content-type": "audio/mpeg" })).status).toBe(403);
    const wrongContent = await put(bytes, {});
    expect(wrongContent.status).toBe(400);
    expect(await wrongContent.text()).toMatch(
      /BadDigest|XAmzContentChecksumMismatch|InvalidRequest/,
    );
    await expectProblem(
      "upload_not_found",
      "/v1/analyses",
      postJson({ upload_id: upload.upload_id }),
    );
  });

  test("goes nowhere without its signature", async () => {
    const upload = await client.createUpload({ content_type: "audio/wav", bytes: 4 });
    const bare = new URL(upload.url);
    bare.search = "";
    expect((await fetch(bare, { method: "PUT", body: "RIFF" })).status).toBe(403);
    const expired = new URL(upload.url);
    expired.searchParams.set("X-Amz-Expires", "1");
    expect((await fetch(expired, { method: "PUT", body: "RIFF" })).status).toBe(403);
  });
});

test.each<[string, ErrorCode, string, RequestInit & { key?: string | null }]>([
  ["an unknown job", "job_not_found", `/v1/jobs/${mintJobId(regions[0]!)}`, {}],
  ["a job id that is none", "job_not_found", "/v1/jobs/job_use_..%2f..%2fetc", {}],
  ["an unknown path", "not_found", "/v1/nothing", {}],
  ["another method", "method_not_allowed", "/v1/uploads", { method: "PUT" }],
  ["no key", "unauthenticated", "/v1/jobs", { key: null }],
  ["a mistyped key", "invalid_api_key", "/v1/jobs", { key: "ak_dev_oops" }],
  [
    "no JSON",
    "malformed_json",
    "/v1/uploads",
    { method: "POST", headers: { "content-type": "application/json" }, body: "{" },
  ],
  [
    "another body type",
    "unsupported_media_type",
    "/v1/uploads",
    { method: "POST", headers: { "content-type": "text/plain" }, body: "x" },
  ],
  [
    "an upload id of another make",
    "invalid_request",
    "/v1/analyses",
    postJson({ upload_id: "upl_x" }),
  ],
  [
    "an upload of nobody",
    "upload_not_found",
    "/v1/analyses",
    postJson({ upload_id: mintUploadId(regions[0]!) }),
  ],
  [
    "a part that does not exist",
    "invalid_request",
    "/v1/analyses",
    postJson({ upload_id: mintUploadId(regions[0]!), parts: ["soul"] }),
  ],
  [
    "a field too many",
    "invalid_request",
    "/v1/uploads",
    postJson({ content_type: "audio/wav", bytes: 1, colour: "red" }),
  ],
  [
    "a video",
    "invalid_request",
    "/v1/uploads",
    postJson({ content_type: "video/x-matroska", bytes: 1 }),
  ],
  [
    "a body of a megabyte",
    "body_too_large",
    "/v1/uploads",
    postJson({ content_type: "a".repeat(1_000_000) }),
  ],
  ["a cursor of one's own making", "invalid_request", "/v1/jobs?cursor=abc", {}],
  [
    "a key that may not administer",
    "insufficient_scope",
    "/v1/admin/tenants",
    postJson({ id: "ten_x", name: "x" }),
  ],
  [
    "a region that does not exist",
    "invalid_request",
    "/v1/uploads",
    {
      ...postJson({ content_type: "audio/wav", bytes: 1 }),
      headers: { "content-type": "application/json", "x-antiphon-region": "mars" },
    },
  ],
])("%s is told as %s", async (_, code, path, init) => {
  await expectProblem(code, path, init);
});

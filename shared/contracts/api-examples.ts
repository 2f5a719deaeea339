import { exampleIds, type ApiExample } from "./api-example.ts";
import { batchExamples } from "./batch-examples.ts";
import { deletionExamples } from "./deletion-examples.ts";
import { webhookExamples } from "./webhook-examples.ts";

const { job: JOB, upload: UPLOAD, sha256: SHA256, created_at, finished_at } = exampleIds;

const queued = {
  id: JOB,
  kind: "analysis",
  status: "queued",
  priority: "standard",
  region: "us-east",
  dispatch: 1,
  attempt: 0,
  user_id: "caller-17",
  created_at,
  queue_position: 0,
};

const flite = {
  id: "flite",
  object: "model",
  created: 1_734_080_579,
  owned_by: "echogarden",
  task: "synthesize",
  version: "2.3-current-2022-03",
  model_sha256: SHA256,
  licence: "BSD-4-Clause",
  commercial_use: true,
  quality: "fallback",
  languages: ["en"],
  memory_mb: 64,
  installed: true,
};
const limits = { per_second: 50, per_minute: 1_000, in_flight: 100 };
const issuer = {
  issuer: "https://login.acme.example/",
  audience: "antiphon",
  jwks_uri: "https://login.acme.example/.well-known/jwks.json",
  algorithms: ["ES256"],
  scopes: ["analyze"],
};

/** The examples of the main calls. */
export const apiExamples: readonly ApiExample[] = [
  {
    operationId: "createUpload",
    method: "POST",
    path: "/v1/uploads",
    headers: { "idempotency-key": "upload-1" },
    json: { content_type: "audio/wav", bytes: 208_044, sha256: SHA256 },
    answer: {
      status: 201,
      body: {
        upload_id: UPLOAD,
        url: `https://bucket.s3.us-east-1.amazonaws.com/uploads/global/ten_acme/${UPLOAD}?X-Amz-Algorithm=AWS4-HMAC-SHA256`,
        method: "PUT",
        headers: {
          "content-type": "audio/wav",
          "x-amz-checksum-sha256": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        },
        expires_at: "2026-01-05T09:45:00.000Z",
        region: "us-east",
      },
    },
  },
  {
    operationId: "createAnalysis",
    method: "POST",
    path: "/v1/analyses",
    headers: { "idempotency-key": "analysis-1" },
    json: {
      upload_id: UPLOAD,
      parts: ["features", "voice_activity"],
      user_id: "caller-17",
    },
    answer: { status: 202, body: queued },
  },
  {
    operationId: "getJob",
    method: "GET",
    path: `/v1/jobs/${JOB}`,
    answer: {
      status: 200,
      body: {
        ...queued,
        queue_position: undefined,
        status: "succeeded",
        attempt: 1,
        started_at: "2026-01-05T09:30:00.100Z",
        finished_at,
        result_source: { region: "us-east", store: "redis" },
        cost: {
          usd: 0.0004,
          stages: [{ stage: "features", seconds: 0.6, usd: 0.0004 }],
        },
        result: {
          audio: {
            sha256: SHA256,
            bytes: 208_044,
            duration_s: 6.5,
            sample_rate_hz: 16_000,
            channels: 1,
            codec: "pcm_s16le",
            container: "wav",
            level: {
              rms_dbfs: -21.3,
              peak_dbfs: -3.1,
              silent: false,
              clipping: { clipped_samples: 0, clipped_ratio: 0, longest_run: 0 },
            },
          },
          voice_activity: {
            speech_ratio: 0.81,
            segments: [{ start_s: 0.42, end_s: 5.71 }],
          },
          engines: { voice_activity: { name: "silero-vad", version: "6", model_sha256: SHA256 } },
          cache: { voice_activity: "miss" },
          timings_ms: { queued: 12, decode: 180, voice_activity: 240, total: 1_060 },
          cost: {
            usd: 0.0004,
            stages: [{ stage: "features", seconds: 0.6, usd: 0.0004 }],
          },
          epoch: { dispatch: 1, attempt: 1 },
          region: "us-east",
        },
        audio_url: `https://api.example/v1/audio/us-east/${SHA256}.wav?own=global.ten_acme&exp=1767609000&kid=k1&sig=ZV9K5ZKQ4yuV3bKp0dGxXc4mM0o5vXkq8n2mJrWl3dQ`,
      },
    },
  },
  {
    operationId: "listJobs",
    method: "GET",
    path: "/v1/jobs?limit=1&user_id=caller-17",
    answer: {
      status: 200,
      body: {
        data: [
          {
            id: JOB,
            kind: "analysis",
            status: "succeeded",
            priority: "standard",
            region: "us-east",
            dispatch: 1,
            attempt: 1,
            user_id: "caller-17",
            audio_duration_s: 6.5,
            created_at,
            started_at: "2026-01-05T09:30:00.100Z",
            finished_at,
            cost_usd: 0.0004,
          },
        ],
        next_cursor: null,
      },
    },
  },
  {
    operationId: "createTranscription",
    method: "POST",
    path: "/v1/audio/transcriptions",
    form: {
      file: "@voice.wav",
      model: "whisper-1",
      response_format: "verbose_json",
      "timestamp_granularities[]": "word",
    },
    answer: {
      status: 200,
      body: {
        task: "transcribe",
        language: "english",
        duration: 2.5,
        text: "hello you",
        quality: "full",
        words: [
          { word: "hello", start: 0.5, end: 1 },
          { word: "you", start: 1, end: 1.25 },
        ],
      },
    },
  },
  {
    operationId: "createSpeech",
    method: "POST",
    path: "/v1/audio/speech",
    json: { input: "It is half past five.", voice: "slt", response_format: "opus", speed: 1.1 },
    answer: { status: 200 },
  },
  {
    operationId: "createSpeechJob",
    method: "POST",
    path: "/v1/audio/speech/async",
    headers: { "idempotency-key": "speech-1" },
    json: { input: "It is half past five.", response_format: "flac", deadline_s: 600 },
    answer: {
      status: 202,
      body: {
        job_id: JOB,
        status_url: `https://api.example/v1/jobs/${JOB}`,
        estimated_seconds: 0.1,
      },
    },
  },
  ...batchExamples,
  ...webhookExamples,
  ...deletionExamples,
  {
    operationId: "getUsage",
    method: "GET",
    path: "/v1/usage?from=2026-01-05&to=2026-01-05",
    answer: {
      status: 200,
      body: {
        from: "2026-01-05",
        to: "2026-01-05",
        as_of: "2026-01-05T09:30:10.000Z",
        data: [
          {
            day: "2026-01-05",
            usd: 0.0005,
            stages: [
              { stage: "features", unit: "compute_second", quantity: 0.6, usd: 0.0004, events: 1 },
              { stage: "speech", unit: "compute_second", quantity: 0.1, usd: 0.0001, events: 1 },
              { stage: "speech_text", unit: "character", quantity: 21, usd: 0, events: 1 },
            ],
          },
        ],
        next_cursor: null,
      },
    },
  },
  {
    operationId: "listModels",
    method: "GET",
    path: "/v1/models",
    answer: { status: 200, body: { object: "list", data: [flite] } },
  },
  {
    operationId: "getModel",
    method: "GET",
    path: "/v1/models/flite",
    answer: { status: 200, body: flite },
  },
  {
    operationId: "createTenant",
    method: "POST",
    path: "/v1/admin/tenants",
    json: { id: "ten_acme", name: "Acme", residency: "eu" },
    answer: {
      status: 201,
      body: { id: "ten_acme", name: "Acme", residency: "eu", created_at },
    },
  },
  {
    operationId: "changeTenant",
    method: "PATCH",
    path: "/v1/admin/tenants/ten_acme",
    json: { limits, cors_origins: ["https://app.acme.example"], jwt_issuers: [issuer] },
    answer: {
      status: 200,
      body: {
        id: "ten_acme",
        name: "Acme",
        residency: "eu",
        created_at,
        limits,
        cors_origins: ["https://app.acme.example"],
        jwt_issuers: [issuer],
        retention: {},
      },
    },
  },
  {
    operationId: "createKey",
    method: "POST",
    path: "/v1/admin/keys",
    json: { tenant_id: "ten_acme", name: "production", scopes: ["analyze", "speak"] },
    answer: {
      status: 201,
      body: {
        key_id: "key_5f2b9c0d1e3a47689b0c",
        key: "ak_live_…",
        tenant_id: "ten_acme",
        name: "production",
        scopes: ["analyze", "speak"],
        expires_at: null,
      },
    },
  },
  {
    operationId: "rotateKey",
    method: "POST",
    path: "/v1/admin/keys/key_5f2b9c0d1e3a47689b0c/rotate",
    json: { overlap_s: 3_600 },
    answer: {
      status: 201,
      body: {
        key_id: "key_77aa0d4b8c1e2f639d5e",
        key: "ak_live_…",
        tenant_id: "ten_acme",
        name: "production",
        scopes: ["analyze", "speak"],
        replaces: "key_5f2b9c0d1e3a47689b0c",
        old_expires_at: "2026-01-05T10:30:00.000Z",
      },
    },
  },
];

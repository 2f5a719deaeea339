import { exampleIds, type ApiExample } from "./api-example.ts";
import { batchJobId } from "./ids.ts";

const { batch: BATCH, sha256, created_at, finished_at } = exampleIds;

const first = {
  item: 0,
  job_id: batchJobId(BATCH, 0),
  status: "succeeded",
  finished_at,
  audio_url: `https://api.example/v1/audio/us-east/${sha256}.mp3?own=global.ten_acme&exp=1767609000&kid=k1&sig=ZV9K5ZKQ4yuV3bKp0dGxXc4mM0o5vXkq8n2mJrWl3dQ`,
  audio_sha256: sha256,
  duration_s: 1.2,
  cost_usd: 0.0001,
};

/** Of the calls about batches. */
export const batchExamples: readonly ApiExample[] = [
  {
    operationId: "createSpeechBatch",
    method: "POST",
    path: "/v1/audio/speech/batch",
    headers: { "idempotency-key": "batch-1" },
    json: {
      items: [{ input: "Good morning." }, { input: "Good night.", voice: "rms", speed: 0.9 }],
      deadline_s: 3_600,
    },
    answer: {
      status: 202,
      body: {
        batch_id: BATCH,
        job_ids: [batchJobId(BATCH, 0), batchJobId(BATCH, 1)],
        status_url: `https://api.example/v1/batches/${BATCH}`,
      },
    },
  },
  {
    operationId: "getBatch",
    method: "GET",
    path: `/v1/batches/${BATCH}?limit=1`,
    answer: {
      status: 200,
      body: {
        id: BATCH,
        kind: "synthesis",
        status: "open",
        created_at,
        counts: { total: 2, open: 1, succeeded: 1, failed: 0, canceled: 0, deleted: 0 },
        window: {
          deadline_at: "2026-01-05T10:30:00.000Z",
          expected_finish_at: "2026-01-05T09:30:02.400Z",
          at_risk: false,
        },
        data: [first],
        next_cursor: "i1",
        manifest_url: `https://api.example/v1/batches/${BATCH}/manifest`,
      },
    },
  },
  {
    operationId: "getBatchManifest",
    method: "GET",
    path: `/v1/batches/${BATCH}/manifest`,
    answer: {
      status: 200,
      lines: [first, { item: 1, job_id: batchJobId(BATCH, 1), status: "open" }],
    },
  },
];

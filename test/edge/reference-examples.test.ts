import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { z } from "zod";
import { readEdgeConfig } from "../../edge/env.ts";
import type { Deletions } from "../../edge/ledger/deletions.ts";
import type { Ledger } from "../../edge/ledger/ledger.ts";
import { exampleIds, toCurl, type ApiExample } from "../../shared/contracts/api-example.ts";
import { apiExamples } from "../../shared/contracts/api-examples.ts";
import { CreatedKey, Job, JobList, RotatedKey, Upload } from "../../shared/contracts/api.ts";
import { Batch, BatchAccepted, BatchEntry } from "../../shared/contracts/batches.ts";
import { DeletionReceipt } from "../../shared/contracts/deletions.ts";
import { readId } from "../../shared/contracts/ids.ts";
import { Tenant } from "../../shared/contracts/internal-api.ts";
import { describeApi } from "../../shared/contracts/openapi.ts";
import { SpeechJobAccepted } from "../../shared/contracts/speech-jobs.ts";
import { TenantSettings } from "../../shared/contracts/tenant-settings.ts";
import { VerboseTranscription } from "../../shared/contracts/transcription.ts";
import { ModelInfo, ModelList } from "../../shared/contracts/models.ts";
import { UsageReport } from "../../shared/contracts/usage.ts";
import {
  CreatedWebhookEndpoint,
  RotatedWebhookSecret,
  WebhookDelivery,
  WebhookDeliveryList,
} from "../../shared/contracts/webhooks.ts";
import { ReceiptKeySet } from "../../shared/signing/receipt.ts";
import { ledgerShardName } from "../../shared/policies/ledger-shard.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { newTenant, startEdge } from "./support/start-edge.ts";

/** What each answer must be; a new example has to be told of here. */
const answers: Record<string, z.ZodType | "audio"> = {
  createUpload: Upload,
  createAnalysis: Job,
  getJob: Job,
  listJobs: JobList,
  createTranscription: VerboseTranscription,
  createSpeech: "audio",
  createSpeechJob: SpeechJobAccepted,
  createSpeechBatch: BatchAccepted,
  getBatch: Batch,
  getBatchManifest: BatchEntry,
  createWebhookEndpoint: CreatedWebhookEndpoint,
  rotateWebhookEndpointSecret: RotatedWebhookSecret,
  rotateWebhookSecret: RotatedWebhookSecret,
  listWebhookDeliveries: WebhookDeliveryList,
  redeliverWebhook: WebhookDelivery,
  createDeletion: DeletionReceipt,
  getDeletion: DeletionReceipt,
  deleteJob: DeletionReceipt,
  getReceiptKeys: ReceiptKeySet,
  getUsage: UsageReport,
  listModels: ModelList,
  getModel: ModelInfo,
  createTenant: Tenant,
  changeTenant: TenantSettings,
  createKey: CreatedKey,
  rotateKey: RotatedKey,
};
const exampleOf = (operationId: string) =>
  apiExamples.find((example) => example.operationId === operationId)!;
const bodyOf = (operationId: string) =>
  JSON.parse(JSON.stringify(exampleOf(operationId).answer.body)) as Record<string, never>;

/** An edge before regions that answer as the examples have it. */
async function ready() {
  const edge = startEdge();
  const { regions } = edge;
  const tenant_id = newTenant("example");
  const key = await regions.addKey({ tenant_id, scopes: ["analyze", "speak", "admin"] });
  const done = Job.parse(bodyOf("getJob"));
  const { result } = done;
  const transcript = {
    text: "hello you",
    language: "en",
    quality: "full",
    words: [
      { word: "hello", start_s: 0.5, end_s: 1, confidence: 0.9 },
      { word: "you", start_s: 1, end_s: 1.25, confidence: 0.8 },
    ],
    segments: [{ start_s: 0.5, end_s: 1.25, text: "hello you" }],
  };
  const epoch = { dispatch: 1, attempt: 1 };
  const offer = {
    result_key: "results/example",
    cost: done.cost!,
    audio: { sha256: result!.audio.sha256, bytes: 208_044, duration_s: 6.5, extension: "wav" },
  };

  // The job that the examples speak of.
  const draft = { ...draftOf(tenant_id), id: done.id, user_id: "caller-17" };
  const namespace = (env as unknown as { LEDGER: DurableObjectNamespace<Ledger> }).LEDGER;
  const shard = namespace.get(namespace.idFromName(ledgerShardName(tenant_id, done.id)!));
  await shard.reserve(draft, "us-east");
  await shard.accept(done.id, 1);
  await shard.complete([offerOf(draft, epoch, offer)]);

  regions.on("POST /internal/jobs", async ({ body, region }) => {
    const id = String(body["id"]);
    if ((body["parts"] as string[]).includes("transcript")) {
      await shardOf({ id, tenant_id }).complete([
        offerOf({ id, tenant_id }, epoch, { region, result_key: "results/transcript" }),
      ]);
    }
    return { job_id: id, dispatch: 1, duplicate: false, queue_position: 0 };
  });
  regions.on("POST /internal/results/read", ({ body }) => ({
    result: body["result_key"] === "results/transcript" ? { ...result, transcript } : result,
    from: "redis",
  }));
  regions.on("GET /internal/jobs", () => {
    const [{ cost_usd: usd, dispatch, attempt, ...row }] = JobList.parse(bodyOf("listJobs"))
      .data as [JobList["data"][number]];
    return {
      data: [{ ...row, epoch: { dispatch, attempt }, error_code: null, usd }],
      next_cursor: null,
    };
  });
  regions.on(
    "POST /internal/speech",
    () => new Response(new Uint8Array(100), { headers: { "content-type": "audio/ogg" } }),
  );
  regions.on("POST /internal/jobs/batch", ({ body }) => ({
    taken: (body["jobs"] as unknown[]).length,
  }));
  regions.on("POST /internal/admin/tenants", () => bodyOf("createTenant"));
  regions.on("POST /internal/admin/tenants/change", () => bodyOf("changeTenant"));
  regions.on("POST /internal/admin/keys", ({ body: { key_hash: _, name: __, ...stored } }) => ({
    ...stored,
    residency: "eu",
    revoked_at: null,
  }));
  regions.on("POST /internal/admin/keys/rotate", () => {
    const { tenant_id: tenant, name, scopes, old_expires_at } = bodyOf("rotateKey");
    return { tenant_id: tenant, name, scopes, key_hash: "0".repeat(64), old_expires_at };
  });
  const webhooks = "POST /internal/webhooks";
  regions.on(`${webhooks}/endpoints/create`, () => bodyOf("createWebhookEndpoint"));
  regions.on(`${webhooks}/secrets/rotate`, () => bodyOf("rotateWebhookSecret"));
  regions.on(`${webhooks}/deliveries/list`, () => bodyOf("listWebhookDeliveries"));
  regions.on(`${webhooks}/deliveries/redeliver`, () => bodyOf("redeliverWebhook"));
  regions.on("POST /internal/usage/read", () => bodyOf("getUsage"));
  regions.on("GET /internal/models", () => bodyOf("listModels"));
  regions.on("POST /internal/deletions", ({ region }) => {
    const { regions: all } = DeletionReceipt.parse(bodyOf("getDeletion"));
    const { region: _, ...state } = all.find((each) => each.region === region)!;
    return state;
  });
  const deletions = (env as unknown as { DELETIONS: DurableObjectNamespace<Deletions> }).DELETIONS;
  await runInDurableObject(deletions.get(deletions.idFromName(tenant_id)), (object) => {
    object.config = () => readEdgeConfig(edge.bindings);
  });
  return { ...edge, key, tenant_id };
}

/** What an example speaks of and only another one makes: the ids that stand for its ids here. */
async function makeWhatIsNamed(path: string, edge: Awaited<ReturnType<typeof ready>>) {
  const make = async (operationId: string) => {
    const { path: at, json: body } = exampleOf(operationId);
    return (await edge.call(at, { key: edge.key, body })).json();
  };
  if (path.includes(exampleIds.batch)) {
    const { batch_id, job_ids } = BatchAccepted.parse(await make("createSpeechBatch"));
    const job = { id: job_ids[0]!, tenant_id: edge.tenant_id };
    const { data } = Batch.parse(bodyOf("getBatch"));
    const { audio_sha256: sha256, duration_s, cost_usd: usd } = data[0]!;
    const audio = { sha256: sha256!, bytes: 1, duration_s: duration_s!, extension: "mp3" };
    await shardOf(job).complete([
      offerOf(job, { dispatch: 1, attempt: 1 }, { audio, cost: { usd: usd!, stages: [] } }),
    ]);
    return path.replace(exampleIds.batch, batch_id);
  }
  if (path.includes(exampleIds.deletion)) {
    const { id } = DeletionReceipt.parse(await make("createDeletion"));
    return path.replace(exampleIds.deletion, id);
  }
  return path;
}

async function run(example: ApiExample): Promise<Response> {
  const edge = await ready();
  const { call, key } = edge;
  const { method, headers = {}, json, form } = example;
  const path = await makeWhatIsNamed(example.path, edge);
  if (!form) return call(path, { method, key, headers, body: json });
  const data = new FormData();
  for (const [name, value] of Object.entries(form)) {
    if (value.startsWith("@")) data.append(name, new File(["RIFF"], value.slice(1)));
    else data.append(name, value);
  }
  const encoded = new Response(data);
  return call(path, {
    method,
    key,
    headers: { ...headers, "content-type": encoded.headers.get("content-type")! },
    body: new Uint8Array(await encoded.arrayBuffer()),
  });
}

/** The names of all fields, however deep; what addresses, ids and times are is another with each call. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (value === null || typeof value !== "object") return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => [name, shapeOf(field)])
      .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
  );
}

test.each(apiExamples.map((example) => [example.operationId, example] as const))(
  "the example of %s is answered as the reference says",
  async (operationId, example) => {
    const schema = answers[operationId]!;
    const answer = await run(example);
    expect(answer.status).toBe(example.answer.status);
    if (schema === "audio") {
      expect(answer.headers.get("content-type")).toMatch(/^audio\//);
      expect(example.answer.body).toBeUndefined();
      return;
    }
    const { lines } = example.answer;
    if (lines) {
      const sent = (await answer.text())
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line));
      for (const line of [...sent, ...lines]) schema.parse(line);
      expect(shapeOf(sent)).toEqual(shapeOf(lines));
      return;
    }
    const body: unknown = await answer.json();
    schema.parse(body);
    schema.parse(JSON.parse(JSON.stringify(example.answer.body)));
    expect(shapeOf(body)).toEqual(shapeOf(example.answer.body));
  },
);

test("the main calls have examples, each of a call that exists, and the page shows them", async () => {
  const { call } = startEdge();
  const html = await (await call("/docs")).text();
  const operations = Object.entries(describeApi().paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, { operationId?: string }>).map(
      ([method, { operationId }]) => ({ operationId, method: method.toUpperCase(), path }),
    ),
  );
  const unescaped = html.replace(/&#(\d+);/g, (_, code: string) =>
    String.fromCharCode(Number(code)),
  );
  for (const example of apiExamples) {
    const operation = operations.find(({ operationId }) => operationId === example.operationId)!;
    expect(operation.method).toBe(example.method);
    const pattern = new RegExp(`^${operation.path.replace(/\{\w+\}/g, "[^/]+")}$`);
    expect(example.path.split("?")[0]).toMatch(pattern);
    expect(unescaped).toContain(toCurl(example));
    expect(unescaped).toContain(example.program?.text ?? "");
  }
  expect(readId(Job.parse(bodyOf("getJob")).id)).toBeDefined();
  expect(new Set(apiExamples.map(({ operationId }) => operationId))).toEqual(
    new Set(Object.keys(answers)),
  );
});

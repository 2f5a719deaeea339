import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { readEdgeConfig } from "../../edge/env.ts";
import { Job } from "../../shared/contracts/api.ts";
import type { CompletionOffer } from "../../shared/contracts/completion.ts";
import { mintUploadId } from "../../shared/contracts/ids.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { edgeBindings } from "./support/bindings.ts";
import { audioFacts, draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { newTenant, startEdge } from "./support/start-edge.ts";
import { stubRegions, type RegionRequest } from "./support/stub-regions.ts";

const first = { dispatch: 1, attempt: 1 };

/** What a region answers that knew the result: that it took the job, and how it ended. */
function finished({ region, body }: RegionRequest, more: Partial<CompletionOffer> = {}) {
  const job = { id: String(body["id"]), tenant_id: String(body["tenant_id"]) };
  const dispatch = Number(body["dispatch"]);
  const completion = offerOf(
    job,
    { dispatch, attempt: 1 },
    {
      region,
      result_key: `results/global/${job.tenant_id}/${job.id}/${dispatch}-1.json`,
      audio: { sha256: audioFacts.sha256, bytes: 10, duration_s: 1, extension: "wav" },
      ...more,
    },
  );
  return { job_id: job.id, dispatch, duplicate: false, queue_position: 0, completion };
}

async function ready() {
  const edge = startEdge();
  const tenant_id = newTenant();
  const key = await edge.regions.addKey({ tenant_id });
  const body = { upload_id: mintUploadId(findRegion("us-east")!) };
  const analyse = (headers: Record<string, string> = {}) =>
    edge.call("/v1/analyses", { key, body, headers });
  const rowOf = (id: string) => shardOf({ id, tenant_id }).status(id);
  edge.regions.on("POST /internal/jobs", finished);
  return { ...edge, tenant_id, key, analyse, rowOf };
}

const result = {
  audio: audioFacts,
  engines: {},
  cache: { decode: "hit" },
  timings_ms: {},
  cost: { usd: 0, stages: [] },
  epoch: first,
  region: "us-east",
};

describe("a job whose region knew the result", () => {
  test("is final with its acceptance, and the answer says so", async () => {
    const { analyse, rowOf } = await ready();
    const response = await analyse();
    expect(response.status).toBe(202);
    const job = Job.parse(await response.json());
    expect(job).toMatchObject({ status: "succeeded", dispatch: 1, attempt: 1, cost: { usd: 0 } });
    expect(job).not.toHaveProperty("queue_position");
    expect(await rowOf(job.id)).toMatchObject({ state: "final", offer: { epoch: first } });
  });

  test("is answered with its result at once where the client waits", async () => {
    const { analyse, regions } = await ready();
    regions.on("POST /internal/results/read", () => ({ result, from: "redis" }));
    const response = await analyse({ prefer: "wait=60" });
    expect(response.status).toBe(200);
    const job = Job.parse(await response.json());
    expect(job).toMatchObject({ status: "succeeded", result, audio_url: expect.any(String) });
  });

  test("is ended once: its offer that comes later is the same, another run's is not", async () => {
    const { analyse, tenant_id, rowOf, regions } = await ready();
    const { id } = Job.parse(await (await analyse()).json());
    const { completion } = finished(regions.asked("/internal/jobs")[0]!);
    const shard = shardOf({ id, tenant_id });
    expect(await shard.complete([completion])).toEqual(["accepted"]);
    const other = offerOf({ id, tenant_id }, { dispatch: 1, attempt: 2 });
    expect(await shard.complete([other])).toEqual(["superseded"]);
    expect(await rowOf(id)).toMatchObject({ offer: { epoch: first } });
  });

  test.each<[string, Partial<CompletionOffer>]>([
    ["another job's", { job_id: draftOf("ten_x").id }],
    ["another tenant's", { tenant_id: "ten_x" }],
    ["another region's", { region: "eu-west" }],
    ["another dispatch's", { epoch: { dispatch: 2, attempt: 1 } }],
  ])("cannot end %s", async (_, more) => {
    const { analyse, rowOf, regions } = await ready();
    regions.on("POST /internal/jobs", (request) => finished(request, more));
    const job = Job.parse(await (await analyse()).json());
    expect(job.status).toBe("queued");
    expect(await rowOf(job.id)).toMatchObject({ state: "accepted", offer: null });
  });

  test("is final too where its answer got lost and the ledger asks again", async () => {
    const regions = stubRegions();
    regions.on("POST /internal/jobs", finished);
    const draft = draftOf(newTenant());
    const shard = shardOf(draft);
    await shard.reserve(draft, "us-east");
    const config = readEdgeConfig(edgeBindings());
    await runInDurableObject(shard, (ledger) => {
      ledger.now = () => Date.now() + 31_000;
      ledger.config = () => config;
    });
    const waiting = shard.wait(draft.id, 20_000);
    expect(await runDurableObjectAlarm(shard)).toBe(true);
    expect(await waiting).toMatchObject({ state: "final", offer: { epoch: first } });
  });
});

test("a body of audio is hashed as it streams through, and its region told", async () => {
  const { call, key, regions } = await ready();
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  const headers = { "content-type": "audio/wav", "content-length": String(bytes.length) };
  await call("/v1/analyses", { key, body: bytes, headers });
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  expect(regions.asked("/internal/jobs")[0]!.body["audio_sha256"]).toBe(hex);
});

test("no client can say what hash its upload has", async () => {
  const { call, key, regions } = await ready();
  const body = {
    upload_id: mintUploadId(findRegion("us-east")!),
    audio_sha256: audioFacts.sha256,
  };
  expect((await call("/v1/analyses", { key, body })).status).toBe(400);
  expect(regions.asked("/internal/jobs")).toEqual([]);
});

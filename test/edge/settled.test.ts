import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { readEdgeConfig } from "../../edge/env.ts";
import type { Deletions } from "../../edge/ledger/deletions.ts";
import { Job } from "../../shared/contracts/api.ts";
import { mintJobId } from "../../shared/contracts/ids.ts";
import { SettledAnswer, type FinalJob } from "../../shared/contracts/internal-api.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { SIGNATURE_HEADER, signLinkRequest } from "../../shared/signing/link-signature.ts";
import { linkSecretOf } from "./support/bindings.ts";
import { audioFacts, draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

const DAY_MS = 24 * 3_600_000;
const first = { dispatch: 1, attempt: 1 };
const { sha256, bytes, duration_s } = audioFacts;
const audio = { sha256, bytes, duration_s, extension: "wav" };

/** A job of two days ago that has ended, and the row that a database has of it. */
async function ready(more: Partial<ReturnType<typeof draftOf>> = {}, ageMs = 2 * DAY_MS) {
  const edge = startEdge();
  const { call, regions } = edge;
  const tenant_id = newTenant();
  const key = await regions.addKey({ tenant_id });
  const at = Date.now() - ageMs;
  const randomBytes = (n: number) => crypto.getRandomValues(new Uint8Array(n));
  const id = mintJobId(findRegion("us-east")!, { now: () => at, randomBytes });
  const time = new Date(at).toISOString();
  const metadata = { call: "17" };
  const draft = { ...draftOf(tenant_id), id, created_at: time, user_id: "u-1", metadata, ...more };
  const result_key = `results/global/${tenant_id}/${id}/1-1.json`;
  const cost = { usd: 0.25, stages: [{ stage: "decode", seconds: 2, usd: 0.25 }] };
  const times = { started_at: time, finished_at: time };
  const offer = offerOf(draft, first, { ...times, result_key, audio, cost });
  const shard = shardOf(draft);
  await shard.reserve(draft, "us-east");
  await shard.accept(id, 1);

  const row: FinalJob = {
    kind: "analysis",
    status: "succeeded",
    residency: "global",
    region: "us-east",
    priority: "standard",
    epoch: first,
    error_code: null,
    user_id: "u-1",
    metadata,
    result_key,
    audio,
    created_at: time,
    ...times,
    cost,
  };
  regions.on("POST /internal/jobs/read", ({ body }) => ({
    job: body["tenant_id"] === tenant_id && body["job_id"] === id ? row : null,
  }));
  regions.on("POST /internal/results/read", ({ body }) => ({
    from: "postgres",
    result: {
      audio: audioFacts,
      engines: {},
      cache: {},
      timings_ms: {},
      cost,
      epoch: first,
      region: body["result_key"] === result_key ? "us-east" : "another",
    },
  }));

  async function tell(epoch = first, region = "us-east"): Promise<Response> {
    const body = JSON.stringify({ jobs: [{ job_id: id, tenant_id, epoch }] });
    const target = "/internal/settled";
    const request = { method: "POST", target, body, audience: "edge" };
    const signature = await signLinkRequest(linkSecretOf(region), request);
    const headers = { "antiphon-region": region, [SIGNATURE_HEADER]: signature };
    return call(target, { body, headers });
  }
  const settle = async (epoch = first): Promise<number> =>
    SettledAnswer.parse(await (await tell(epoch)).json()).reduced;
  /** Characters that the ledger keeps of the job. */
  const size = () =>
    runInDurableObject(shard, (_, state) => {
      const query =
        "SELECT length(draft) + coalesce(length(offer), 0) AS size FROM jobs WHERE job_id = ?";
      return state.storage.sql.exec<{ size: number }>(query, id).one().size;
    });
  const get = (as = key) => call(`/v1/jobs/${id}`, { key: as });
  return { ...edge, tenant_id, key, id, draft, offer, shard, row, tell, settle, size, get };
}

describe("a job whose rows are in the database", () => {
  test("is no longer described by the ledger, and its state, result and audio are the same as before", async () => {
    // The audio's address changes every half hour.
    holdTime();
    const { shard, offer, settle, size, get, regions } = await ready();
    await shard.complete([offer]);
    const before = await get();
    const full = await size();
    expect(regions.asked("/internal/jobs/read")).toEqual([]);

    expect(await settle()).toBe(1);
    expect(await size()).toBeLessThan(full / 4);
    const after = await get();
    expect(after.status).toBe(200);
    expect(after.headers.get("etag")).toBe(before.headers.get("etag"));
    const job = Job.parse(await after.json());
    expect(job).toEqual(await before.json());
    expect(job).toMatchObject({ status: "succeeded", result: { region: "us-east" } });
    // Told again, it changes nothing.
    expect(await settle()).toBe(0);
  });

  test("is not found by another tenant, which its own rows answer too", async () => {
    const { shard, offer, settle, get, regions } = await ready();
    await shard.complete([offer]);
    await settle();
    const stranger = await regions.addKey({ tenant_id: newTenant() });
    expect(await codeOf(await get(stranger))).toBe("job_not_found");
    expect(regions.asked("/internal/jobs/read")).toHaveLength(1);
  });

  test("stays fenced: its own offer is accepted again, any other run superseded, and it never begins anew", async () => {
    const { shard, offer, settle, draft } = await ready();
    await shard.complete([offer]);
    await settle();
    const later = offerOf(draft, { dispatch: 2, attempt: 1 });
    expect(await shard.complete([offer, later, offer])).toEqual([
      "accepted",
      "superseded",
      "accepted",
    ]);
    expect(await shard.reserve(draft, "us-east")).toBeNull();
  });

  test("takes no place in the ledger's part of a list", async () => {
    const { shard, offer, settle, draft, tenant_id } = await ready();
    await shard.complete([offer]);
    const randomBytes = (n: number) => crypto.getRandomValues(new Uint8Array(n));
    const now = () => Date.now() - 3 * DAY_MS;
    let older = draft;
    do {
      older = { ...draft, id: mintJobId(findRegion("us-east")!, { now, randomBytes }) };
    } while (!shardOf({ id: older.id, tenant_id }).id.equals(shard.id));
    await shard.reserve(older, "us-east");
    const newest = async () => (await shard.list({ limit: 1 })).map((job) => job.draft.id);
    expect(await newest()).toEqual([draft.id]);
    await settle();
    expect(await newest()).toEqual([older.id]);
  });

  test("is canceled too late, and streams its end", async () => {
    const { call, key, shard, offer, settle, id } = await ready();
    await shard.complete([offer]);
    await settle();
    const canceled = await call(`/v1/jobs/${id}/cancel`, { method: "POST", key });
    expect(await codeOf(canceled)).toBe("cancel_too_late");
    const events = await (await call(`/v1/jobs/${id}/events`, { key })).text();
    expect(events).toMatch(/event: result\ndata: \{.*"status":"succeeded"/);
  });

  test("is deleted with its upload, and is gone at once though the rows are still there", async () => {
    const edge = await ready();
    const { call, key, shard, offer, settle, id, draft, get, regions, bindings, tenant_id } = edge;
    await shard.complete([offer]);
    await settle();
    regions.on("POST /internal/deletions", () => ({ done_at: null, stores: [] }));
    const { DELETIONS } = env as unknown as { DELETIONS: DurableObjectNamespace<Deletions> };
    const deletions = DELETIONS.get(DELETIONS.idFromName(tenant_id));
    await runInDurableObject(deletions, (object) => {
      object.config = () => readEdgeConfig(bindings);
    });
    expect((await call(`/v1/jobs/${id}`, { method: "DELETE", key })).status).toBe(202);
    const [order] = regions.asked("/internal/deletions");
    expect(order!.body["jobs"]).toEqual([expect.objectContaining({ upload_id: draft.upload_id })]);
    expect(await codeOf(await get())).toBe("job_not_found");
    expect(await codeOf(await call(`/v1/jobs/${id}`, { method: "DELETE", key }))).toBe(
      "job_not_found",
    );
  });
});

describe("the ledger goes on describing", () => {
  test("what a region tells of that was born in another", async () => {
    const { shard, offer, tell, settle, size } = await ready();
    await shard.complete([offer]);
    const full = await size();
    expect(await codeOf(await tell(first, "eu-west"))).toBe("invalid_request");
    expect(await size()).toBe(full);
    expect(await settle()).toBe(1);
  });

  test("what has not ended, or ended in another run than the rows tell of", async () => {
    const { shard, offer, settle, size } = await ready();
    const full = await size();
    expect(await settle()).toBe(0);
    expect(await size()).toBe(full);
    await shard.complete([offer]);
    expect(await settle({ dispatch: 1, attempt: 2 })).toBe(0);
    expect(await settle()).toBe(1);
  });

  test("what rows tell only in part: jobs of bound tenants, failures, and items of batches", async () => {
    const bound = await ready({ residency: "us" });
    await bound.shard.complete([bound.offer]);
    expect(await bound.settle()).toBe(0);
    const failed = await ready();
    const error = { code: "audio_corrupt" as const, detail: "Cut at 3 s.", retryable: false };
    await failed.shard.complete([{ ...failed.offer, status: "failed", error }]);
    expect(await failed.settle()).toBe(0);
    const batch = { id: `bat${failed.id.slice(3)}`, item: 0 };
    const item = await ready({ batch });
    await item.shard.complete([item.offer]);
    expect(await item.settle()).toBe(0);
  });
});

test("an id that nobody knows is looked up in the database only when the ledger could have forgotten it", async () => {
  const { call, key, regions } = await ready();
  const young = mintJobId(findRegion("eu-west")!);
  expect(await codeOf(await call(`/v1/jobs/${young}`, { key }))).toBe("job_not_found");
  expect(regions.asked("/internal/jobs/read")).toEqual([]);
  const now = () => Date.now() - 40 * DAY_MS;
  const old = mintJobId(findRegion("eu-west")!, { now, randomBytes: (n) => new Uint8Array(n) });
  expect(await codeOf(await call(`/v1/jobs/${old}`, { key }))).toBe("job_not_found");
  expect(regions.asked("/internal/jobs/read")).toHaveLength(1);
});

test("a job that the ledger has dropped altogether is told from its rows, a failure by the title of its error", async () => {
  const { call, key, regions, row, tenant_id } = await ready();
  const id = mintJobId(findRegion("us-east")!, {
    now: () => Date.now() - 40 * DAY_MS,
    randomBytes: (n) => crypto.getRandomValues(new Uint8Array(n)),
  });
  const failed = { ...row, status: "failed", error_code: "audio_corrupt" };
  regions.on("POST /internal/jobs/read", ({ body }) => ({
    job: body["tenant_id"] === tenant_id ? { ...failed, result_key: null, audio: null } : null,
  }));
  const job = Job.parse(await (await call(`/v1/jobs/${id}`, { key })).json());
  expect(job).toMatchObject({ id, status: "failed", error: { code: "audio_corrupt" } });
  expect(job.error!.detail).not.toBe("");
  expect(job).not.toHaveProperty("audio_url");
});

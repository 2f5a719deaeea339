import { describe, expect, test } from "vitest";
import { createEdgeJobCursor } from "../../shared/signing/job-cursor.ts";
import { readId } from "../../shared/contracts/ids.ts";
import { Job, JobList } from "../../shared/contracts/api.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { audioFacts, draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, NEAR_MUMBAI, newTenant, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

const SHA256 = audioFacts.sha256;
const result = {
  audio: audioFacts,
  engines: {},
  cache: {},
  timings_ms: {},
  cost: { usd: 0, stages: [] },
  epoch: { dispatch: 1, attempt: 1 },
  region: "us-east",
};

async function ready() {
  const edge = startEdge();
  const tenant = newTenant();
  const key = await edge.regions.addKey({ tenant_id: tenant });
  const draft = { ...draftOf(tenant), metadata: { a: "b" }, user_id: "u-1" };
  const shard = shardOf(draft);
  await shard.reserve(draft, "us-east");
  await shard.accept(draft.id, 1);
  const get = () => edge.call(`/v1/jobs/${draft.id}`, { key });
  return { ...edge, tenant, key, draft, shard, get };
}

describe("a job", () => {
  test("that runs shows its region's progress", async () => {
    const { regions, get, draft, tenant } = await ready();
    const started_at = new Date().toISOString();
    regions.on("GET /internal/jobs/{id}", () => ({
      status: "running",
      epoch: { dispatch: 1, attempt: 2 },
      started_at,
      progress: 0.5,
    }));
    expect(Job.parse(await (await get()).json())).toEqual({
      id: draft.id,
      kind: "analysis",
      status: "running",
      priority: "standard",
      region: "us-east",
      dispatch: 1,
      attempt: 2,
      user_id: "u-1",
      metadata: { a: "b" },
      created_at: draft.created_at,
      started_at,
      progress: 0.5,
    });
    const asked = regions.requests.at(-1)!;
    expect(asked.query.get("tenant_id")).toBe(tenant);
  });

  test("that waits shows its place and when it is expected to begin, but never before it may", async () => {
    const { regions, call, key, tenant, get } = await ready();
    const soon = new Date(Date.now() + 5_000).toISOString();
    regions.on("GET /internal/jobs/{id}", () => ({
      status: "queued",
      epoch: { dispatch: 1, attempt: 0 },
      queue_position: 4,
      expected_at: soon,
    }));
    expect(Job.parse(await (await get()).json())).toMatchObject({
      status: "queued",
      queue_position: 4,
      expected_at: soon,
    });
    const later = new Date(Date.now() + 3_600_000).toISOString();
    const delayed = { ...draftOf(tenant), not_before: later };
    await shardOf(delayed).reserve(delayed, "us-east");
    const job = await (await call(`/v1/jobs/${delayed.id}`, { key })).json();
    expect(Job.parse(job).expected_at).toBe(later);
  });

  test("that its region calls ended is not ended before the ledger says so", async () => {
    const { regions, get } = await ready();
    regions.on("GET /internal/jobs/{id}", () => ({
      status: "succeeded",
      epoch: { dispatch: 1, attempt: 1 },
    }));
    expect(Job.parse(await (await get()).json()).status).toBe("running");
  });

  test("does not show what a region says of an older dispatch", async () => {
    const { regions, get } = await ready();
    regions.on("GET /internal/jobs/{id}", () => ({
      status: "running",
      epoch: { dispatch: 2, attempt: 1 },
    }));
    expect(Job.parse(await (await get()).json())).toMatchObject({ status: "queued", attempt: 0 });
  });

  test("whose region is away waits for it, and says so", async () => {
    const { regions, get } = await ready();
    regions.down.add("us-east");
    expect(Job.parse(await (await get()).json())).toMatchObject({
      status: "queued",
      waiting_for: "region",
    });
  });

  test("that succeeded shows its result and a URL that delivers the audio", async () => {
    const { call, regions, get, draft, shard, tenant } = await ready();
    regions.on("POST /internal/results/read", () => ({ result, from: "redis" }));
    const offer = offerOf(
      draft,
      { dispatch: 1, attempt: 1 },
      {
        result_key: `results/global/${tenant}/${draft.id}/1-1.json`,
        audio: { sha256: SHA256, bytes: 10, duration_s: 1, extension: "wav" },
      },
    );
    await shard.complete([offer]);
    const job = Job.parse(await (await get()).json());
    expect(job).toMatchObject({ status: "succeeded", attempt: 1, result });
    expect(regions.asked("/internal/results/read")[0]!.body).toEqual({
      job_id: draft.id,
      tenant_id: tenant,
      result_key: offer.result_key,
    });
    const name = `us-east/bucket-us-east/audio/global/${tenant}/${SHA256}.wav`;
    regions.objects.set(name, { bytes: new Uint8Array(10), type: "audio/wav" });
    expect((await call(job.audio_url!)).status).toBe(200);
  });

  test("that is final is not read again for who has it, until its audio's address would change", async () => {
    holdTime();
    const { call, regions, get, key, draft, shard, tenant } = await ready();
    regions.on("POST /internal/results/read", () => ({ result, from: "redis" }));
    expect((await get()).headers.get("etag")).toBeNull();
    const audio = { sha256: SHA256, bytes: 10, duration_s: 1, extension: "wav" };
    const epoch = { dispatch: 1, attempt: 1 };
    await shard.complete([offerOf(draft, epoch, { result_key: `results/${tenant}`, audio })]);
    const first = await get();
    expect(first.headers.get("cache-control")).toBe("private, no-cache");
    const body = await first.text();
    expect(await (await get()).text()).toBe(body);
    const etag = first.headers.get("etag")!;
    const path = `/v1/jobs/${draft.id}`;
    const again = (tag: string) => call(path, { key, headers: { "if-none-match": tag } });
    const read = regions.asked("/internal/results/read").length;
    const same = await again(etag);
    expect([same.status, await same.text(), same.headers.get("etag")]).toEqual([304, "", etag]);
    expect(regions.asked("/internal/results/read")).toHaveLength(read);
    expect((await again('W/"1-1-5-k2"')).status).toBe(200);
    const other = await regions.addKey({ tenant_id: newTenant() });
    const foreign = await call(path, { key: other, headers: { "if-none-match": etag } });
    expect(foreign.status).toBe(404);
  });

  test("gives out audio for one network alone, when it is asked to", async () => {
    const { call, regions, key, draft, shard, tenant } = await ready();
    const audio = { sha256: SHA256, bytes: 10, duration_s: 1, extension: "wav" };
    await shard.complete([offerOf(draft, { dispatch: 1, attempt: 1 }, { audio })]);
    const name = `us-east/bucket-us-east/audio/global/${tenant}/${SHA256}.wav`;
    regions.objects.set(name, { bytes: new Uint8Array(10), type: "audio/wav" });
    const ask = (ip: string) => call(`/v1/jobs/${draft.id}?audio_ip=${ip}`, { key });
    const job = Job.parse(await (await ask("2001:db8:1:2::3")).json());
    const listen = (ip: string) => call(job.audio_url!, { headers: { "cf-connecting-ip": ip } });
    expect((await listen("2001:db8:1:ffff::1")).status).toBe(200);
    expect((await listen("2001:db8:2::3")).status).toBe(403);
    expect(await codeOf(await ask("somewhere"))).toBe("invalid_request");
  });

  test("whose result was removed at the end of its retention says so, once every region has looked", async () => {
    const { regions, get, draft, shard, tenant } = await ready();
    const finished_at = new Date(Date.now() - 25 * 3_600_000).toISOString();
    const more = { result_key: `results/${tenant}`, finished_at };
    await shard.complete([offerOf(draft, { dispatch: 1, attempt: 1 }, more)]);
    regions.refuse("POST /internal/results/read", "not_found");
    const job = Job.parse(await (await get()).json());
    expect(job).toMatchObject({ status: "succeeded", result_removed: true });
    expect(job.result).toBeUndefined();
    regions.down.add("ap-south");
    expect(await codeOf(await get())).toBe("dependency_unavailable");
  });

  test("whose result went out by webhook alone says so, and no region is asked for it", async () => {
    const { regions, call, key, tenant } = await ready();
    const draft = { ...draftOf(tenant), tenant: { keeps_results: false as const } };
    const shard = shardOf(draft);
    await shard.reserve(draft, "us-east");
    await shard.accept(draft.id, 1);
    await shard.complete([offerOf(draft, { dispatch: 1, attempt: 1 })]);
    const job = Job.parse(await (await call(`/v1/jobs/${draft.id}`, { key })).json());
    expect(job).toMatchObject({ status: "succeeded", result_removed: true });
    expect(regions.asked("/internal/results/read")).toEqual([]);
  });

  test("finds its result in another region while its own is away, and never shows success without it", async () => {
    const { regions, get, draft, shard, tenant } = await ready();
    await shard.complete([
      offerOf(draft, { dispatch: 1, attempt: 1 }, { result_key: `results/${tenant}` }),
    ]);
    regions.on("POST /internal/results/read", ({ region }) => {
      if (region !== "eu-west") throw new ApiError("not_found");
      return { result, from: "s3" };
    });
    expect(Job.parse(await (await get()).json()).result).toBeDefined();
    regions.refuse("POST /internal/results/read", "not_found");
    expect(await codeOf(await get())).toBe("dependency_unavailable");
  });

  test("of another tenant is not there, nor one that never was", async () => {
    const { call, regions, draft } = await ready();
    const other = await regions.addKey({ tenant_id: newTenant() });
    expect(await codeOf(await call(`/v1/jobs/${draft.id}`, { key: other }))).toBe("job_not_found");
    const ids = [
      draftOf(newTenant()).id,
      draft.id.replace("_use_", "_xyz_"),
      "job_1",
      "..%2f",
      "%00",
    ];
    for (const id of ids) {
      const response = await call(`/v1/jobs/${id}`, { key: other });
      expect([id, response.status, await codeOf(response)]).toEqual([id, 404, "job_not_found"]);
    }
    expect(regions.asked(`/internal/jobs/${draft.id}`)).toEqual([]);
  });
});

test("a list shows the rows of the nearest permitted region, for this tenant alone", async () => {
  const { call, regions, key, tenant, draft } = await ready();
  regions.on("GET /internal/jobs", () => ({
    data: [
      {
        id: draft.id,
        kind: "analysis",
        status: "failed",
        region: "us-east",
        priority: "batch",
        epoch: { dispatch: 1, attempt: 3 },
        user_id: null,
        error_code: "audio_corrupt",
        audio_duration_s: null,
        created_at: draft.created_at,
        started_at: null,
        finished_at: null,
        usd: 0.001,
      },
    ],
    next_cursor: "whatever the region says",
  }));
  const cursors = createEdgeJobCursor({ tenantId: tenant, userId: "u-1" });
  const place = { id: draft.id, createdAtMs: readId(draft.id)!.createdAtMs };
  // After everything that this tenant has in the ledger.
  const cursor = await cursors.write(place);
  const path = `/v1/jobs?limit=5&cursor=${cursor}&user_id=u-1&tenant_id=ten_other`;
  const list = JobList.parse(await (await call(path, { key, cf: NEAR_MUMBAI })).json());
  expect(list).toEqual({
    data: [
      {
        id: draft.id,
        kind: "analysis",
        status: "failed",
        priority: "batch",
        region: "us-east",
        dispatch: 1,
        attempt: 3,
        error_code: "audio_corrupt",
        created_at: draft.created_at,
        cost_usd: 0.001,
      },
    ],
    next_cursor: await cursors.write(place),
  });
  const [asked] = regions.asked("/internal/jobs");
  expect(asked!.region).toBe("ap-south");
  expect(Object.fromEntries(asked!.query)).toEqual({
    tenant_id: tenant,
    limit: "5",
    cursor,
    user_id: "u-1",
  });
  for (const query of ["limit=0", "limit=101", "limit=x", `cursor=${"x".repeat(513)}`]) {
    expect(await codeOf(await call(`/v1/jobs?${query}`, { key }))).toBe("invalid_request");
  }
});

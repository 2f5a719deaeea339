import { describe, expect, test, vi } from "vitest";
import { readEdgeConfig } from "../../edge/env.ts";
import { createObjectStore } from "../../edge/forward/object-store.ts";
import { createSecondCopy, type SecondCopyTimes } from "../../edge/forward/second-copy.ts";
import { createRegionHealth } from "../../edge/route/region-health.ts";
import { Job, Upload } from "../../shared/contracts/api.ts";
import { mintMultiRegionUploadId } from "../../shared/contracts/ids.ts";
import { uploadKey } from "../../shared/contracts/object-keys.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { LOST_AFTER_MS } from "../../shared/policies/region-verdict.ts";
import { edgeBindings } from "./support/bindings.ts";
import { seen, tell } from "./support/failover.ts";
import { shardOf } from "./support/jobs.ts";
import { NEAR_DUBLIN, newTenant, problemOf, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

const RECORDING = Uint8Array.from([1, 2, 3, 4, 5]);

async function ready(residency: "global" | "eu" = "global") {
  const edge = startEdge();
  const { regions } = edge;
  const tenant_id = newTenant();
  const key = await regions.addKey({ tenant_id, residency });
  const owner = { residency, tenantId: tenant_id };
  const nameIn = (region: string, uploadId: string) =>
    `${region}/bucket-${region}/${uploadKey(owner, uploadId)}`;
  const put = (region: string, uploadId: string, bytes = RECORDING) =>
    void regions.objects.set(nameIn(region, uploadId), { bytes, type: "audio/wav" });
  const has = (region: string, uploadId: string) => regions.objects.has(nameIn(region, uploadId));
  // A region takes a job whose recording it has.
  regions.on("POST /internal/jobs", ({ region, body }) => {
    if (!has(region, String(body["upload_id"]))) throw new ApiError("upload_not_found");
    const { id: job_id, dispatch } = body;
    return { job_id, dispatch, duplicate: false, queue_position: 0 };
  });
  const submitted = () => regions.asked("/internal/jobs").map(({ region }) => region);
  const looks = (region: string) =>
    regions.objectRequests.filter((asked) => asked.region === region && asked.method === "HEAD")
      .length;
  return { ...edge, tenant_id, key, owner, put, has, submitted, looks };
}

async function durableUpload({ call, key }: Awaited<ReturnType<typeof ready>>) {
  const body = { content_type: "audio/wav", bytes: 5, durability: "multi_region" };
  const response = await call("/v1/uploads", { key, body, cf: NEAR_DUBLIN });
  expect(response.status).toBe(201);
  return Upload.parse(await response.json());
}

describe("an upload of multi_region durability", () => {
  test("is accepted as a job only once a second region has it, and then outlives the first", async () => {
    // So the edge does not copy it by itself.
    holdTime();
    const edge = await ready();
    const { call, key, regions, put, submitted, looks, tenant_id } = edge;
    const { upload_id, region } = await durableUpload(edge);
    expect(region).toBe("eu-west");
    put("eu-west", upload_id);
    const answer = call("/v1/analyses", { key, body: { upload_id } });
    await expect.poll(() => looks("us-east")).toBeGreaterThan(1);
    expect(submitted()).toEqual([]);
    put("us-east", upload_id);
    const response = await answer;
    expect(response.status).toBe(202);
    const job = Job.parse(await response.json());
    expect(job.region).toBe("eu-west");

    regions.down.add("eu-west");
    const shard = shardOf({ id: job.id, tenant_id });
    await tell(shard, "lost", "eu-west", { views: seen({ "eu-west": LOST_AFTER_MS }) });
    const now = await shard.status(job.id);
    expect(now).toMatchObject({ state: "accepted", region: "us-east" });
    expect(now).not.toHaveProperty("waiting_for");
  });

  test("that was never sent is not waited for", async () => {
    const edge = await ready();
    const { upload_id } = await durableUpload(edge);
    const response = await edge.call("/v1/analyses", { key: edge.key, body: { upload_id } });
    expect((await problemOf(response)).code).toBe("upload_not_found");
    expect(edge.submitted()).toEqual([]);
  });

  test("is refused at once, with the reason, where residency permits one region alone", async () => {
    const { call, key, regions } = await ready("eu");
    const body = { content_type: "audio/wav", bytes: 5, durability: "multi_region" };
    const audio = {
      body: RECORDING,
      headers: { "content-type": "audio/wav", "content-length": "5" },
    };
    for (const refused of [
      await call("/v1/uploads", { key, body }),
      await call("/v1/analyses?durability=multi_region", { key, ...audio }),
    ]) {
      const { code, detail, errors } = await problemOf(refused);
      expect([code, errors![0]!.path]).toEqual(["invalid_request", "durability"]);
      expect(detail).toMatch(/bound to eu may lie in eu-west alone/);
    }
    expect(regions.objects.size).toBe(0);
    const plain = await call("/v1/uploads", { key, body: { ...body, durability: "region" } });
    expect(Upload.parse(await plain.json()).upload_id).toMatch(/^upl_/);
  });

  test("may be a body of audio: the edge itself brings it to a second region where that takes long", async () => {
    const edge = await ready();
    const response = await edge.call("/v1/analyses?durability=multi_region", {
      key: edge.key,
      body: RECORDING,
      headers: { "content-type": "audio/wav", "content-length": "5" },
      cf: NEAR_DUBLIN,
    });
    expect(response.status).toBe(202);
    const uploadId = String(edge.regions.asked("/internal/jobs")[0]!.body["upload_id"]);
    expect(uploadId).toMatch(/^upm_euw_/);
    expect([edge.has("eu-west", uploadId), edge.has("us-east", uploadId)]).toEqual([true, true]);
  });
});

describe("the second copy", () => {
  const uploadId = mintMultiRegionUploadId(findRegion("eu-west")!);

  async function waiting(times: SecondCopyTimes) {
    const edge = await ready();
    const config = readEdgeConfig(edgeBindings());
    const objects = createObjectStore(config, createRegionHealth());
    const secondCopy = createSecondCopy(config, objects, {
      firstPauseMs: 1,
      maxPauseMs: 1,
      ...times,
    });
    const wait = () => secondCopy.wait(edge.owner, uploadId, AbortSignal.timeout(10_000));
    return { ...edge, wait };
  }

  test("that does not come in time is a 503 to be repeated; nothing was accepted", async () => {
    const { wait, put } = await waiting({ patienceMs: 20, copyAfterMs: 10_000 });
    put("eu-west", uploadId);
    const late = { code: "dependency_unavailable", headers: { "retry-after": "5" } };
    await expect(wait()).rejects.toMatchObject(late);
    put("ap-south", uploadId);
    await wait();
  });

  test("that only a region which is away could give is given up early, so that the client can go elsewhere", async () => {
    holdTime();
    const { wait, put, regions, looks } = await waiting({ patienceMs: 60_000, goneAfterMs: 50 });
    put("eu-west", uploadId);
    regions.down.add("eu-west");
    const givenUp = expect(wait()).rejects.toMatchObject({ code: "dependency_unavailable" });
    await expect.poll(() => looks("us-east")).toBeGreaterThan(1);
    vi.setSystemTime(Date.now() + 50);
    await givenUp;
  });

  test("is made without waiting for a bucket that hangs", async () => {
    const { wait, put, has, regions } = await waiting({
      patienceMs: 60_000,
      copyAfterMs: 0,
      lookMs: 50,
      leaveAloneMs: 600_000,
    });
    put("eu-west", uploadId);
    let asked = 0;
    regions.elsewhere.set("us-east.objects.test", () => {
      asked += 1;
      return new Promise<Response>(() => undefined);
    });
    await wait();
    expect(has("ap-south", uploadId)).toBe(true);
    expect(asked).toBe(1);
  });

  test("counts only when it is the same recording", async () => {
    const { wait, put } = await waiting({ patienceMs: 20, copyAfterMs: 10_000 });
    put("eu-west", uploadId);
    put("us-east", uploadId, RECORDING.slice(1));
    await expect(wait()).rejects.toMatchObject({ code: "dependency_unavailable" });
  });

  test("is made in the nearest region that answers", async () => {
    const { wait, put, has, regions } = await waiting({ copyAfterMs: 0 });
    put("eu-west", uploadId);
    regions.down.add("us-east");
    await wait();
    expect(has("ap-south", uploadId)).toBe(true);
  });

  test("is enough while the first region does not answer, and not once that has lost it", async () => {
    const { wait, put, has, regions } = await waiting({ copyAfterMs: 0 });
    put("us-east", uploadId);
    regions.down.add("eu-west");
    await wait();
    expect(has("ap-south", uploadId)).toBe(false);
    regions.down.clear();
    await wait();
    expect(has("eu-west", uploadId)).toBe(true);
  });
});

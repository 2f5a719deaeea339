import { expect, test } from "vitest";
import { Batch, BatchAccepted, BatchEntry } from "../../shared/contracts/batches.ts";
import { batchJobId, readId, textUploadId } from "../../shared/contracts/ids.ts";
import { MAX_BATCH_SUBMIT } from "../../shared/contracts/internal-api.ts";
import { JobSpec } from "../../shared/contracts/job.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, NEAR_DUBLIN, newTenant, problemOf, startEdge } from "./support/start-edge.ts";

const PATH = "/v1/audio/speech/batch";
const SUBMIT = "POST /internal/jobs/batch";
const asked = "/internal/jobs/batch";

async function ready(more: { residency?: "global" | "eu" } = {}) {
  const edge = startEdge();
  const { regions, call } = edge;
  const tenant = newTenant("batch");
  const key = await regions.addKey({ tenant_id: tenant, scopes: ["speak"], ...more });
  const specsOf = (body: Record<string, unknown>) =>
    (body["jobs"] as unknown[]).map((job) => JobSpec.parse(job));
  const take = (body: Record<string, unknown>) =>
    Response.json({ taken: (body["jobs"] as unknown[]).length }, { status: 202 });
  regions.on(SUBMIT, ({ body }) => take(body));
  const post = (items: unknown, extra: object = {}, headers: Record<string, string> = {}) =>
    call(PATH, { key, body: { items, ...extra }, headers, cf: NEAR_DUBLIN });
  async function create(items: unknown, extra: object = {}, headers: Record<string, string> = {}) {
    const answer = await post(items, extra, headers);
    expect(answer.status).toBe(202);
    return BatchAccepted.parse(await answer.json());
  }
  async function get(id: string, query = "") {
    const answer = await call(`/v1/batches/${id}${query}`, { key });
    expect(answer.status).toBe(200);
    return Batch.parse(await answer.json());
  }
  /** Ends a job as its region would; in eu-west unless told. */
  const end = (id: string, offer: Partial<Parameters<typeof offerOf>[2]> = {}, dispatch = 1) => {
    const job = { id, tenant_id: tenant };
    const whole = offerOf(job, { dispatch, attempt: 1 }, { region: "eu-west", ...offer });
    return shardOf(job).complete([whole]);
  };
  const submitted = () => regions.asked(asked).flatMap(({ body }) => specsOf(body));
  const textsAt = (region: string, batchId: string, residency = "global") => {
    const name = `${region}/bucket-${region}/uploads/${residency}/${tenant}/${textUploadId(batchId)}`;
    return regions.objects.get(name)?.bytes;
  };
  return { ...edge, tenant, key, post, create, get, end, take, specsOf, submitted, textsAt };
}

const audio = { sha256: "ab".repeat(32), bytes: 9, duration_s: 1.5, extension: "mp3" };

test("each item becomes a job with its own bytes of one text, and what is wrong with one is its own", async () => {
  const { create, submitted, textsAt, get } = await ready({ residency: "eu" });
  const items = [
    { input: "Olé!", voice: "nova", user_id: "u-1" },
    { input: "" },
    { speed: 9 },
    null,
    { text: "Last.", voice_id: "echo", response_format: "wav", metadata: { a: "b" } },
    { input: "Twice.", text: "Twice." },
  ];
  const { batch_id, job_ids, status_url } = await create(items, { deadline_s: 600 });
  expect(status_url).toBe(`https://edge.test/v1/batches/${batch_id}`);
  expect(job_ids).toEqual(items.map((_, n) => batchJobId(batch_id, n)));
  const specs = submitted().toSorted((a, b) => a.batch!.item - b.batch!.item);
  expect(specs.map(({ id }) => id)).toEqual(job_ids);
  const texts = textsAt("eu-west", batch_id, "eu")!;
  const textOf = ({ speech }: JobSpec) => {
    const { offset, bytes } = speech!.text;
    return new TextDecoder().decode(texts.subarray(offset, offset + bytes));
  };
  expect(textOf(specs[0]!)).toBe("Olé!");
  expect(textOf(specs[4]!)).toBe("Last.");
  expect(specs[0]).toMatchObject({ priority: "batch", user_id: "u-1", speech: { voice: "slt" } });
  // By the names that items began with.
  expect(specs[4]).toMatchObject({
    metadata: { a: "b" },
    speech: { voice: "rms", response_format: "wav" },
  });
  expect(specs[1]!.fault).toEqual({ code: "invalid_request", detail: "input: must not be empty" });
  expect(specs[2]!.fault!.detail).toBe("speed: must be 4 at most; input: is missing");
  expect(specs[3]!.fault!.detail).toBe("must be an object");
  expect(specs[5]!.fault!.detail).toBe("text: is another name of `input`, which is there too");
  const deadline = Date.parse(specs[0]!.deadline_at!);
  expect(deadline - readId(batch_id)!.createdAtMs).toBe(600_000);
  expect(JSON.stringify(specs)).not.toContain("Last.");
  expect((await get(batch_id)).window.deadline_at).toBe(specs[0]!.deadline_at);
});

test("a batch tells its counts, its window and, page by page, how each item ended", async () => {
  const { create, get, end } = await ready();
  const items = Array.from({ length: 5 }, (_, n) => ({ input: `Item ${n}.` }));
  const { batch_id, job_ids } = await create(items, { deadline_s: 3600 });
  const fresh = await get(batch_id);
  expect(fresh).toMatchObject({
    status: "open",
    counts: { total: 5, open: 5, succeeded: 0, failed: 0, canceled: 0, deleted: 0 },
    window: { expected_finish_at: null, at_risk: false },
  });
  await end(job_ids[0]!, { audio });
  const error = {
    code: "text_language_unsupported",
    detail: "Not English.",
    retryable: false,
  } as const;
  await end(job_ids[3]!, { status: "failed", error });
  const half = await get(batch_id, "?limit=2");
  expect(half.counts).toMatchObject({ open: 3, succeeded: 1, failed: 1 });
  expect(Date.parse(half.window.expected_finish_at!)).toBeGreaterThan(Date.now() - 60_000);
  expect(half.data.map(({ item, status }) => [item, status])).toEqual([
    [0, "succeeded"],
    [1, "open"],
  ]);
  expect(half.data[0]!.audio_url).toMatch(/^https:\/\/edge\.test\/v1\/audio\/eu-west\//);
  expect(half.data[0]).toMatchObject({ duration_s: 1.5, audio_sha256: audio.sha256 });
  const next = await get(batch_id, `?limit=2&cursor=${half.next_cursor}`);
  expect(next.data.map(({ item }) => item)).toEqual([2, 3]);
  expect(next.data[1]).toMatchObject({ job_id: job_ids[3], status: "failed", error });
  const last = await get(batch_id, `?limit=2&cursor=${next.next_cursor}`);
  expect([last.data.map(({ item }) => item), last.next_cursor]).toEqual([[4], null]);
  const finished_at = new Date().toISOString();
  for (const id of [job_ids[1]!, job_ids[2]!, job_ids[4]!]) await end(id, { finished_at });
  const done = await get(batch_id);
  expect(done).toMatchObject({ status: "done", counts: { open: 0, succeeded: 4, failed: 1 } });
  expect(done.window).toMatchObject({ expected_finish_at: finished_at, at_risk: false });
});

test("a batch is nobody else's, and a cursor that was tampered with is none", async () => {
  const { create, call, regions, key } = await ready();
  const { batch_id } = await create([{ input: "Mine." }]);
  const stranger = await regions.addKey({ tenant_id: newTenant("batch"), scopes: ["speak"] });
  expect(await codeOf(await call(`/v1/batches/${batch_id}`, { key: stranger }))).toBe(
    "batch_not_found",
  );
  expect(await codeOf(await call(`/v1/batches/job_x`, { key }))).toBe("batch_not_found");
  for (const cursor of ["7", "i-1", "i1'--", "i999999"]) {
    const path = `/v1/batches/${batch_id}?cursor=${encodeURIComponent(cursor)}`;
    expect(await codeOf(await call(path, { key }))).toBe("invalid_request");
  }
  const beyond = Batch.parse(
    await (await call(`/v1/batches/${batch_id}?cursor=i99999`, { key })).json(),
  );
  expect([beyond.data, beyond.next_cursor]).toEqual([[], null]);
});

test("what one region does not take the next is given, text and all, and only that", async () => {
  const { create, regions, take, specsOf, textsAt, end, get } = await ready();
  let calls = 0;
  regions.on(SUBMIT, ({ region, body }) => {
    if (region === "eu-west" && calls++ > 0) throw new ApiError("system_busy");
    return take(body);
  });
  const items = Array.from({ length: MAX_BATCH_SUBMIT + 3 }, (_, n) => ({ input: `${n}.` }));
  const { batch_id, job_ids } = await create(items);
  const [, second] = regions.asked(asked).filter(({ region }) => region !== "ap-south");
  expect(specsOf(second!.body).every(({ dispatch }) => dispatch === 1)).toBe(true);
  const moved = regions.asked(asked).filter(({ region }) => region === "us-east");
  expect(moved.flatMap(({ body }) => specsOf(body)).map(({ dispatch }) => dispatch)).toEqual([
    2, 2, 2,
  ]);
  expect(textsAt("us-east", batch_id)).toEqual(textsAt("eu-west", batch_id));
  // The one that moved ends under its new dispatch alone.
  const last = job_ids.at(-1)!;
  expect(await end(last)).toEqual(["superseded"]);
  expect(await end(last, { region: "us-east" }, 2)).toEqual(["accepted"]);
  expect((await get(batch_id)).counts).toMatchObject({ succeeded: 1, open: items.length - 1 });
});

test("where nobody takes any of it there is no batch, and where some may have it the client is told to come again", async () => {
  const { post, regions, take, get, create } = await ready();
  regions.refuse(SUBMIT, "system_busy");
  expect(await codeOf(await post([{ input: "One." }]))).toBe("system_busy");

  const items = Array.from({ length: MAX_BATCH_SUBMIT + 1 }, () => ({ input: "One." }));
  let taken = 0;
  regions.on(SUBMIT, ({ body }) => {
    if (taken++ > 0) throw new ApiError("system_busy");
    return take(body);
  });
  const headers = { "idempotency-key": "again" };
  const unclear = await problemOf(await post(items, {}, headers));
  expect(unclear).toMatchObject({ code: "dependency_unavailable", retryable: true });
  const id = /bat_\w+-[\w-]+/.exec(unclear.detail)![0];
  expect((await get(id)).counts).toMatchObject({ total: items.length, open: items.length });

  // The same request goes on with the rest of the same batch.
  const before = regions.asked(asked).length;
  regions.on(SUBMIT, ({ body }) => take(body));
  const accepted = await create(items, {}, headers);
  expect(accepted.batch_id).toBe(id);
  const later = regions.asked(asked).slice(before);
  expect(later.map(({ body }) => (body["jobs"] as unknown[]).length)).toEqual([1]);
  // And once more nothing at all is done.
  expect(await create(items, {}, headers)).toEqual(accepted);
  expect(regions.asked(asked).length).toBe(before + 1);
});

test("ten thousand items are accepted in a few calls, one of them wrong, and a body too large in none", async () => {
  const { create, post, regions, submitted, get, end, call, key } = await ready();
  const items = Array.from({ length: 10_000 }, (_, n) => ({
    input: n === 7777 ? "" : `Number ${n}.`,
  }));
  const { batch_id, job_ids } = await create(items);
  expect(job_ids.length).toBe(10_000);
  expect(regions.asked(asked).length).toBeLessThanOrEqual(21);
  const specs = submitted();
  expect(new Set(specs.map(({ id }) => id)).size).toBe(10_000);
  expect(specs.flatMap(({ fault, batch }) => (fault ? batch!.item : []))).toEqual([7777]);
  const error = {
    code: "invalid_request",
    detail: "input: must not be empty",
    retryable: false,
  } as const;
  await end(job_ids[7777]!, { status: "failed", error });
  const { counts, data } = await get(batch_id, "?limit=3&cursor=i7776");
  expect(counts).toMatchObject({ total: 10_000, open: 9_999, failed: 1 });
  expect(data.map(({ status }) => status)).toEqual(["open", "failed", "open"]);
  const manifest = await call(`/v1/batches/${batch_id}/manifest`, { key });
  const lines = (await manifest.text()).trim().split("\n");
  expect(lines.map((line) => BatchEntry.parse(JSON.parse(line)).job_id)).toEqual(job_ids);
  expect(JSON.parse(lines[7777]!)).toMatchObject({ item: 7777, status: "failed", error });

  const before = regions.asked(asked).length;
  expect(await codeOf(await post([...items, { input: "One too many." }]))).toBe("invalid_request");
  expect(await codeOf(await post([]))).toBe("invalid_request");
  expect(await codeOf(await post([{ input: "x".repeat(16 * 2 ** 20) }]))).toBe("body_too_large");
  expect(regions.asked(asked).length).toBe(before);
});

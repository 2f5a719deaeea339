import { afterAll, beforeAll, expect, test } from "vitest";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { createResultsRead } from "../../../regions/store/results-read.ts";
import { hashUser } from "../../../shared/signing/hash-user.ts";
import { createDatabaseDeletions } from "../../../regions/store/deletions.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { createHash } from "node:crypto";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import { batchJobId, mintBatchId, readId, textUploadId } from "../../../shared/contracts/ids.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";
import { audioKey, resultKey, uploadKey } from "../../../shared/contracts/object-keys.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { untilReady } from "../../support/redis.ts";
import { startRegionBench, type RegionBench } from "../api/region-bench.ts";
import { makeRun, newJobId } from "../results/make-run.ts";
import { deletionsOf, orderOf } from "./deletion-bench.ts";

let cluster: TestCluster;
let bench: RegionBench;
let database: Database;
let region: ReturnType<typeof deletionsOf>;

beforeAll(async () => {
  [cluster, bench] = await Promise.all([startPostgres({ replica: true }), startRegionBench()]);
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.primary.url });
  await migrate(database.primary);
  region = deletionsOf(bench, database);
  await untilReady(region.redis);
}, 90_000);
afterAll(async () => {
  await region?.close();
  await database?.close();
  await Promise.all([bench?.close(), cluster?.close()]);
});

const engine = { name: "engine", version: "1", model_sha256: null };
const stages = {
  voice_activity: {
    engines: { voice_activity: engine },
    value: { speech_ratio: 0.1, segments: [] },
  },
};
let users = 0;
const newUser = () => `user-${++users}`;
const newTenant = () => `ten_delete_${++users}`;
const shaOf = (text: string) => createHash("sha256").update(text).digest("hex");

/** A job that has run, with all that it leaves in a region: in rows, Redis, bucket and caches. */
async function finishedJob(
  tenantId: string,
  {
    recording = crypto.randomUUID() as string,
    userId = "user-0",
    residency = "global" as const,
  } = {},
) {
  const jobId = newJobId();
  const sha256 = shaOf(recording);
  const owner = { residency, tenantId };
  const run = makeRun({ jobId, tenantId, userId, residency });
  run.envelope.job.audio_sha256 = sha256;
  const spec = jobSpec({ id: jobId, tenant_id: tenantId, user_id: userId, residency });
  const text = { contentType: "text/plain" };
  await bench.putUpload(spec, Buffer.from(recording));
  await bench.objects.put(audioKey(owner, sha256, "wav"), recording, text);
  await bench.objects.put(resultKey(owner, jobId, { dispatch: 1, attempt: 1 }), "{}", text);
  const large = bench.openStages({ maxInlineBytes: 1 });
  await large.keep({ owner, sha256 }, { voice_activity: "a" }, stages);
  await bench.stages.keep({ owner, sha256 }, { voice_activity: "b" }, stages);
  await bench.client.set(resultKeys.spec(jobId), JSON.stringify(spec));
  await bench.client.set(resultKeys.result(jobId), JSON.stringify({ audio: { sha256 } }));
  const whd = `whd_use_${crypto.randomUUID().replaceAll("-", "")}`;
  const delivery = JSON.stringify({
    id: whd,
    tenant_id: tenantId,
    job_id: jobId,
    facts: { userId },
  });
  await bench.client.set(`{antiphon}:webhook:delivery:${whd}`, delivery);
  await bench.client.set(`{antiphon}:webhook:sealed:${whd}`, "sealed");
  await bench.client.hset(roomOf(tenantId), whd, 6);
  await bench.client.hincrby(roomOf(tenantId), "all", 6);
  await bench.client.xadd(resultKeys.webhooks, "*", "event", delivery);
  await createFinalJobs(database).write([run.envelope]);
  await database.primary`
    insert into webhook_deliveries (id, created_at, tenant_id, residency, region, job_id, event, webhook_id,
      include_result, facts, status, attempts, version)
    select ${whd}, created_at, tenant_id, residency, region, id, 'job.succeeded', ${whd}, false, '{}', 'pending', 0, 1
    from jobs where id = ${jobId}`;
  return { jobId, run, spec, sha256, owner, tenantId };
}
/** What a tenant's sealed results take up. */
const roomOf = (tenantId: string) => `{antiphon}:webhook:room:${tenantId}`;
type Finished = Awaited<ReturnType<typeof finishedJob>>;

const keysOf = async ({ jobId, sha256, spec, owner }: Finished) => {
  const all = await bench.objects.list("", 10_000);
  return {
    result: all.filter((key) => key.includes(jobId)).length,
    upload: all.filter((key) => key === uploadKey(owner, spec.upload_id)).length,
    audio: all.filter((key) => key.startsWith("audio/") && key.includes(sha256)).length,
    stages: all.filter((key) => key.startsWith("stages/") && key.includes(sha256)).length,
  };
};
const inRedis = async ({ jobId, sha256 }: Finished) => ({
  job:
    (await bench.client.exists(resultKeys.spec(jobId))) +
    (await bench.client.exists(resultKeys.result(jobId))),
  stages: (await bench.client.keys("{antiphon-stages}:*")).filter((key) => key.includes(sha256))
    .length,
});
async function rowsOf(jobId: string) {
  const [row] = await database.primary`
    select (select count(*)::int from jobs where id = ${jobId}) as jobs,
      (select count(*)::int from results where job_id = ${jobId}) as results,
      (select count(*)::int from webhook_deliveries where job_id = ${jobId}) as webhooks,
      (select count(*)::int from usage_events where job_id = ${jobId}) as usage`;
  return row;
}
const whole = {
  objects: { result: 1, upload: 1, audio: 1, stages: 1 },
  redis: { job: 2, stages: 1 },
  rows: { jobs: 1, results: 1, webhooks: 1, usage: 2 },
};
const gone = {
  objects: { result: 0, upload: 0, audio: 0, stages: 0 },
  redis: { job: 0, stages: 0 },
  rows: { jobs: 0, results: 0, webhooks: 0, usage: 2 },
};
const look = async (job: Finished) => ({
  objects: await keysOf(job),
  redis: await inRedis(job),
  rows: await rowsOf(job.jobId),
});

test("one job goes from every store, with its cached stages; its usage and all other jobs stay", async () => {
  const tenant = newTenant();
  const [job, other, foreign] = [
    await finishedJob(tenant),
    await finishedJob(tenant),
    await finishedJob(newTenant()),
  ];
  expect(await look(job)).toEqual(whole);
  const readRow = createResultsRead(database);
  expect(await readRow(job.jobId)).toEqual(job.run.envelope.result);
  const order = orderOf(tenant, { job_id: job.jobId });
  expect(await region.orders.take(order)).toEqual({ done_at: null, stores: [] });
  const state = await region.untilDone(order);
  expect(await look(job)).toEqual(gone);
  const room = await bench.client.hgetall(roomOf(tenant));
  expect([room["all"], Object.keys(room).length]).toEqual(["6", 2]);
  expect(await readRow(job.jobId)).toBeUndefined();
  expect(await look(other)).toEqual(whole);
  expect(await look(foreign)).toEqual(whole);
  expect(Object.fromEntries(state.stores.map(({ store, removed }) => [store, removed]))).toEqual({
    redis: { jobs: 1, results: 1, webhooks: 2, messages: 1, stages: 2 },
    postgres: { jobs: 1, results: 1, webhooks: 1 },
    objects: { results: 1, uploads: 1, audio: 1, stages: 1 },
  });
});

test("whoever names another tenant's job deletes nothing of it, also when nobody remembers whose it was", async () => {
  const foreign = await finishedJob(newTenant());
  await bench.client.del(resultKeys.spec(foreign.jobId));
  const state = await region.untilDone(orderOf(newTenant(), { job_id: foreign.jobId }));
  const { objects, rows } = await look(foreign);
  expect({ objects, rows }).toEqual({ objects: whole.objects, rows: whole.rows });
  const postgres = state.stores.find(({ store }) => store === "postgres")!;
  expect(postgres.removed).toEqual({ jobs: 0, results: 0, webhooks: 0 });
});

test("a recording that another job of the tenant has stays until that goes too", async () => {
  const tenant = newTenant();
  const recording = "the same words";
  const [first, second] = [
    await finishedJob(tenant, { recording }),
    await finishedJob(tenant, { recording }),
  ];
  await region.untilDone(orderOf(tenant, { job_id: first.jobId }));
  expect(await look(first)).toEqual({
    objects: { result: 0, upload: 0, audio: 1, stages: 1 },
    redis: { job: 0, stages: 1 },
    rows: gone.rows,
  });
  await region.untilDone(orderOf(tenant, { job_id: second.jobId }));
  expect(await look(second)).toEqual(gone);
  expect(await look(first)).toEqual(gone);
});

test("an end user's jobs go, also those that the ledger no longer knows, and nobody else's", async () => {
  const tenant = newTenant();
  const [user, another] = [newUser(), newUser()];
  const [old, fresh] = [
    await finishedJob(tenant, { userId: user }),
    await finishedJob(tenant, { userId: user }),
  ];
  const kept = await finishedJob(tenant, { userId: another });
  const namesake = await finishedJob(newTenant(), { userId: user });
  // Redis remembers a day.
  await bench.client.del(resultKeys.spec(old.jobId));
  const asked_by = { actor: "key_who", request_id: "req_which" };
  const order = orderOf(tenant, { user_id: user }, { asked_by });
  await region.untilDone(order);
  expect(await rowsOf(old.jobId)).toEqual(gone.rows);
  expect((await keysOf(old)).result).toBe(0);
  expect(await look(fresh)).toEqual(gone);
  expect(await look(kept)).toEqual(whole);
  expect(await look(namesake)).toEqual(whole);
  const [row] =
    await database.primary`select count(*)::int as n from tombstones where user_hash is not null
    and tombstones::text like ${`%${user}%`}`;
  expect(row).toEqual({ n: 0 });
  // Once, however many regions carry it out and how often.
  await createDatabaseDeletions(database).bury(order, new AbortController().signal);
  const acts = await database.primary`
    select action, actor, request_id, details from audit_log where target = ${order.id}`;
  expect(acts).toEqual([
    {
      action: "deletion.request",
      actor: "key_who",
      request_id: "req_which",
      details: { tenant_id: tenant, user_hash: await hashUser(tenant, user) },
    },
  ]);
});

test("everything of a tenant goes, up to when it was asked for", async () => {
  const tenant = newTenant();
  const jobs = [await finishedJob(tenant), await finishedJob(tenant, { userId: newUser() })];
  await bench.objects.put(`speech/global/${tenant}/a.wav`, "a", { contentType: "audio/wav" });
  const foreign = await finishedJob(newTenant());
  const order = orderOf(tenant, { all: true });
  await expect.poll(() => Date.now() > Date.parse(order.requested_at)).toBe(true);
  const later = await finishedJob(tenant);
  const state = await region.untilDone(order);
  for (const job of jobs) expect(await look(job)).toEqual(gone);
  expect(await look(foreign)).toEqual(whole);
  const kept = await look(later);
  expect(kept.rows).toEqual(whole.rows);
  expect(kept.redis.job).toBe(2);
  expect(kept.objects).toMatchObject({ result: 1, upload: 1, audio: 1 });
  const objects = state.stores.find(({ store }) => store === "objects")!;
  expect(objects.removed["speech"]).toBe(1);
});

test("a job that waits is called off, and its offer leaves no trace", async () => {
  const tenant = newTenant();
  const spec: JobSpec = jobSpec({ tenant_id: tenant, metadata: { note: "still waiting" } });
  await bench.putUpload(spec, Buffer.from("audio"));
  await bench.queue.submit(spec);
  await region.untilDone(orderOf(tenant, { job_id: spec.id }));
  expect(await bench.queue.state(spec.id)).toBeUndefined();
  expect(await bench.offers()).toEqual([]);
  expect((await bench.client.keys("*")).filter((key) => key.includes(spec.id))).toEqual([]);
  const owner = { residency: "global", tenantId: tenant } as const;
  expect(await bench.objects.head(uploadKey(owner, spec.upload_id))).toBeUndefined();
});

test("a Redis that is full takes the order, and all of it goes: what waits, what has ended, and caches", async () => {
  const tenant = newTenant();
  const user = newUser();
  const job = await finishedJob(tenant, { userId: user });
  const waiting: JobSpec = jobSpec({ tenant_id: tenant, user_id: user });
  await bench.putUpload(waiting, Buffer.from("audio"));
  await bench.queue.submit(waiting);
  const order = orderOf(tenant, { user_id: user }, { jobs: [{ id: job.jobId }] });
  await bench.client.config("SET", "maxmemory", "1mb");
  try {
    await expect(bench.client.set("more", "x")).rejects.toThrow(/OOM/);
    const state = await region.untilDone(order);
    expect(state.stores).toHaveLength(3);
    expect(await look(job)).toEqual(gone);
    expect(await bench.queue.state(waiting.id)).toBeUndefined();
    const createdAtMs = readId(job.jobId)!.createdAtMs;
    const isDeleted = { id: newJobId(), createdAtMs, userId: user };
    expect(await region.tombstones.covers(tenant, isDeleted)).toBe(true);
  } finally {
    await bench.client.config("SET", "maxmemory", "0");
  }
});

test("of a batch's texts only the deleted item's goes; the last one takes the object along", async () => {
  const tenant = newTenant();
  const owner = { residency: "global", tenantId: tenant } as const;
  const batch = mintBatchId(findRegion("us-east")!);
  const upload_id = textUploadId(batch);
  const key = uploadKey(owner, upload_id);
  const texts = ["Tell nobody.", "Grüße an alle.", "Good night."];
  const ranges = texts.map((text, n) => ({
    offset: Buffer.byteLength(texts.slice(0, n).join("")),
    bytes: Buffer.byteLength(text),
  }));
  const contentType = "text/plain; charset=utf-8";
  await bench.objects.put(key, texts.join(""), { contentType });
  const read = (n: number) => bench.objects.getText(key, 1_000, { range: ranges[n]! });
  const erase = (n: number) => {
    const job = { id: batchJobId(batch, n), upload_id, text: ranges[n]! };
    return region.untilDone(orderOf(tenant, { job_id: job.id }, { jobs: [job] }));
  };

  // Of a job that waits the region itself knows what was its own.
  const waiting = jobSpec({
    id: batchJobId(batch, 1),
    tenant_id: tenant,
    kind: "synthesis",
    parts: [],
    upload_id,
    batch: { id: batch, item: 1 },
    speech: { voice: "flite:slt", response_format: "wav", speed: 1, text: ranges[1]! },
  });
  await bench.queue.submit(waiting);
  await region.untilDone(orderOf(tenant, { job_id: waiting.id }));
  expect(await Promise.all([read(0), read(2)])).toEqual([texts[0], texts[2]]);
  expect((await read(1))!.trim()).toBe("");
  expect((await bench.objects.head(key))!.contentType).toBe(contentType);
  const { stores } = await erase(0);
  expect(stores.find(({ store }) => store === "objects")!.removed).toMatchObject({ texts: 1 });
  expect(await bench.objects.getText(key, 1_000)).toMatch(/^ +Good night\.$/);
  await erase(2);
  expect(await bench.objects.head(key)).toBeUndefined();
});

test("nothing comes back: neither by a late outbox entry, nor by a late run, nor by a late replica", async () => {
  const tenant = newTenant();
  const job = await finishedJob(tenant);
  const order = orderOf(tenant, { job_id: job.jobId });
  await region.untilDone(order);

  // The outbox brings the same run again, and one of a newer dispatch.
  const again = makeRun({ jobId: job.jobId, tenantId: tenant, dispatch: 2 });
  const { refused } = await createFinalJobs(database).write([job.run.envelope]);
  await createFinalJobs(database).write([again.envelope]);
  expect(refused).toEqual([]);
  expect(await rowsOf(job.jobId)).toEqual(gone.rows);

  // Another region's bucket sends what it had not sent yet; a worker that was paused writes its result.
  const key = resultKey(job.owner, job.jobId, { dispatch: 2, attempt: 1 });
  await bench.objects.put(key, "{}", { contentType: "application/json" });
  await bench.putUpload(job.spec, Buffer.from("late"));
  await bench.client.set(resultKeys.result(job.jobId), "{}");
  expect(
    await region.results.read({ job_id: job.jobId, tenant_id: tenant, result_key: key }),
  ).toBeUndefined();
  region.advance(61_000);
  await region.work();
  expect(await look(job)).toEqual(gone);
});

test("what was deleted goes again from a database that was put back to an earlier time, and nothing else does", async () => {
  const [tenant, other] = [newTenant(), newTenant()];
  const user = newUser();
  const [first, second, kept, foreign] = [
    await finishedJob(tenant),
    await finishedJob(tenant, { userId: user }),
    await finishedJob(tenant),
    await finishedJob(other),
  ];
  await region.untilDone(orderOf(tenant, { job_id: first.jobId }));
  await region.untilDone(orderOf(tenant, { user_id: user }));
  // Who names another tenant's job has deleted nothing of it.
  await region.untilDone(orderOf(tenant, { job_id: foreign.jobId }));
  const { signal } = new AbortController();
  const repeat = () => region.deletions.repeat(signal);
  expect(await repeat()).toBe(0);

  await database.primary`delete from tombstones where tenant_id = ${tenant}`;
  for (const { run } of [first, second]) await createFinalJobs(database).write([run.envelope]);
  const back = { ...gone.rows, jobs: 1, results: 1 };
  for (const { jobId } of [first, second]) expect(await rowsOf(jobId)).toEqual(back);
  expect(await repeat()).toBe(2);
  await region.work();
  for (const { jobId } of [first, second]) expect(await rowsOf(jobId)).toEqual(gone.rows);
  expect(await rowsOf(kept.jobId)).toEqual(whole.rows);
  expect(await rowsOf(foreign.jobId)).toEqual(whole.rows);
  expect(await repeat()).toBe(0);
  // Nor does it come back now.
  await createFinalJobs(database).write([first.run.envelope]);
  expect(await rowsOf(first.jobId)).toEqual(gone.rows);
  // What the database knows to be deleted has an order that is under way.
  const another = await finishedJob(tenant, { userId: user });
  const later = new Date(Date.now() + 1000).toISOString();
  for (const scope of [{ job_id: kept.jobId }, { user_id: user }]) {
    const order = orderOf(tenant, scope, { requested_at: later });
    await createDatabaseDeletions(database).bury(order, signal);
  }
  await region.tombstones.add(tenant, [kept.jobId, another.jobId]);
  expect(await repeat()).toBe(0);
});

test("a region tells all jobs that it remembers as deleted, whatever goes meanwhile", async () => {
  const tenant = newTenant();
  const jobs = Array.from({ length: 2_500 }, () => newJobId());
  for (const at of [0, 700, 1_400]) {
    await region.tombstones.add(tenant, jobs.slice(at, at + 1_100));
    region.advance(1);
  }
  const told = new Set<string>();
  for await (const page of region.tombstones.jobs()) {
    for (const { tenantId, id } of page) if (tenantId === tenant) told.add(id);
    // As `prune` would, of those that came first.
    if (told.size > 1_000) continue;
    const first = page.slice(0, 200).map(({ tenantId, id }) => `${tenantId} job:${id}`);
    await bench.client.zrem("antiphon:tombstones", ...first);
  }
  expect(told.size).toBe(2_500);
});

test("a writer that began before the tombstone is waited for, and what it wrote goes too", async () => {
  const tenant = newTenant();
  const job = await finishedJob(tenant);
  const jobId = newJobId();
  const createdAt = new Date(readId(jobId)!.createdAtMs).toISOString();
  const order = orderOf(tenant, { all: true });
  const [began, mayWrite] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const writing = database.primary.begin(async (sql) => {
    await sql`select from tombstones`;
    began.resolve();
    await mayWrite.promise;
    await sql`
      insert into jobs select r.* from jobs j, jsonb_populate_record(j,
        jsonb_build_object('id', ${jobId}::text, 'created_at', ${createdAt}::text)) r where j.id = ${job.jobId}`;
  });
  await began.promise;
  await region.orders.take(order);
  const deleting = region.untilDone(order);
  await expect
    .poll(async () => {
      const rows = await database.primary`
        select from pg_locks where relation = 'tombstones'::regclass and not granted`;
      return rows.length;
    })
    .toBe(1);
  mayWrite.resolve();
  await Promise.all([deleting, writing]);
  expect(await rowsOf(jobId)).toMatchObject({ jobs: 0 });
  expect(await look(job)).toEqual(gone);
});

test("a part that is away keeps the order open, and it goes on where it was", async () => {
  const tenant = newTenant();
  const job = await finishedJob(tenant);
  const order = orderOf(tenant, { job_id: job.jobId });
  await cluster.primary.stop();
  await region.orders.take(order);
  await region.work();
  const partial = await region.orders.take(order);
  expect(partial.done_at).toBeNull();
  expect(partial.stores.map(({ store }) => store)).not.toContain("postgres");
  // What waits for the database is not gone through over and over meanwhile.
  const reads = async () =>
    /cmdstat_xrange:calls=(\d+)/.exec(await region.redis.info("commandstats"))![1];
  region.advance(60_000);
  await region.work();
  const before = await reads();
  for (let n = 0; n < 3; n++) {
    region.advance(60_000);
    await region.work();
  }
  expect(await reads()).toBe(before);
  await cluster.primary.start();
  const state = await region.untilDone(order);
  expect(state.stores.map(({ store }) => store).sort()).toEqual(["objects", "postgres", "redis"]);
  expect(await look(job)).toEqual(gone);
});

test("a region forgets a deletion after 90 days, the database once no row can be so old, and neither before", async () => {
  const DAY_MS = 86_400_000;
  const [old, renewed] = [newTenant(), newTenant()];
  const jobs = Array.from({ length: 1_100 }, () => ({ id: newJobId() }));
  // Before anything was asked for, however long that takes.
  const createdAtMs = Date.now() - 1000;
  const covers = (tenant: string, { id } = jobs[0]!) =>
    region.tombstones.covers(tenant, { id, createdAtMs });
  const inDatabase = async (tenant: string) => {
    const rows = await database.primary`
      select count(*)::int as count from tombstones where tenant_id = ${tenant}`;
    return rows[0]!["count"] as number;
  };
  await region.untilDone(orderOf(old, { user_id: "u" }, { jobs }));
  await region.untilDone(orderOf(renewed, { all: true }));
  region.advance(89 * DAY_MS);
  await region.deletions.prune();
  expect([await covers(old), await covers(renewed)]).toEqual([true, true]);
  expect(await covers(old, jobs[999]!)).toBe(true);
  // Another order for what is remembered makes it be remembered for longer.
  const requested_at = new Date(Date.now() + 89 * DAY_MS).toISOString();
  await region.tombstones.write(orderOf(renewed, { all: true }, { requested_at }));
  region.advance(2 * DAY_MS);
  await region.deletions.prune();
  expect([await covers(old), await covers(renewed)]).toEqual([false, true]);
  expect(await bench.client.exists(`antiphon:tombstones:${old}`)).toBe(0);
  const kept = await bench.client.zrange("antiphon:tombstones", "0", "-1");
  expect(kept.filter((member) => member.startsWith(`${old} `))).toEqual([]);
  expect(kept).toContain(`${renewed} all`);

  // What is written anew while old ones are looked through stays.
  await bench.client.zadd("antiphon:tombstones", "1", `${renewed} all`);
  await region.deletions.prune();
  expect(await covers(renewed)).toBe(true);

  expect(await inDatabase(old)).toBe(1_101);
  await database.primary`
    insert into tombstones select 'del_many', ${old}, 'job_' || n, null, now(), now()
    from generate_series(1, 1500) as n`;
  await database.primary`
    update tombstones set created_at = now() - interval '27 months' + interval '91 days' where tenant_id = ${old}`;
  await region.deletions.prune();
  expect([await inDatabase(old), await inDatabase(renewed)]).toEqual([0, 1]);
});

import { readFile, readdir } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import { createBatchWriter } from "../../../regions/results/batch-writer.ts";
import { createOfferRelay } from "../../../regions/results/offer-relay.ts";
import { createRedis } from "../../../regions/results/redis.ts";
import { createResultCache } from "../../../regions/results/result-cache.ts";
import { createStageCache } from "../../../regions/results/stage-cache.ts";
import type { Analyzer } from "../../../regions/speech/analyze.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { createObjectStore } from "../../../regions/store/object-store.ts";
import { flushedPosition, waitForReplay } from "../../../regions/store/replay.ts";
import { createRunJob } from "../../../regions/workers/run-job.ts";
import { openScratch } from "../../../regions/workers/scratch.ts";
import { createWorker } from "../../../regions/workers/worker.ts";
import { createSubmitJob } from "../../../regions/api/submit-job.ts";
import { createCheckTarget } from "../../../regions/api/webhook-routes.ts";
import { openResult } from "../../../regions/results/sealed-result.ts";
import { createTenants } from "../../../regions/store/tenants.ts";
import { createWebhookDeliveries } from "../../../regions/store/webhook-deliveries.ts";
import { createWebhookEndpoints } from "../../../regions/store/webhook-endpoints.ts";
import { createWebhookKeeper } from "../../../regions/webhooks/keep-webhooks.ts";
import { replicationOf } from "../../../scripts/planet/replication-of.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import type { WebhookPayload } from "../../../shared/contracts/webhooks.ts";
import { mintJobId, mintUploadId } from "../../../shared/contracts/ids.ts";
import { uploadKey } from "../../../shared/contracts/object-keys.ts";
import { findRegion, regions, type Residency } from "../../../shared/contracts/regions.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { freePort } from "../../../scripts/planet/ports.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { startRedis, untilReady } from "../../support/redis.ts";
import { silent, secretBox } from "../api/region-bench.ts";
import { BUCKET, CREDENTIALS, startStore } from "../object-store/start-store.ts";
import { startEndpoint } from "../webhooks/start-endpoint.ts";
import { untilReachable } from "../queue/until-reachable.ts";

const IDS = ["us-east", "eu-west"] as const;
type Id = (typeof IDS)[number];
const own = regions.filter(({ id }) => (IDS as readonly string[]).includes(id));
const engine = { name: "engine", version: "1", model_sha256: null };

/** Hears what the recording holds: its own bytes, as text. Everything else about the run is real. */
const analyzer: Analyzer = {
  plan: async () => ({
    identities: { decode: "decoder", transcript: "engine" },
    unavailable: {},
  }),
  analyze: async (path: string) => {
    const decode = {
      engines: { decode: engine },
      value: {
        duration_s: 1,
        sample_rate_hz: 16_000,
        channels: 1,
        codec: "pcm_s16le",
        container: "wav",
        level: {
          rms_dbfs: -20,
          peak_dbfs: -3,
          silent: false,
          clipping: { clipped_samples: 0, clipped_ratio: 0, longest_run: 0 },
        },
      },
    };
    const transcript = {
      engines: { transcribe: engine },
      value: {
        text: `heard ${await readFile(path, "utf8")}`,
        language: "en",
        quality: "full",
        segments: [],
      },
    };
    return {
      audio: decode.value,
      transcript: transcript.value,
      engines: { ...decode.engines, ...transcript.engines },
      timings_ms: { decode: 1, transcript: 1, total: 2 },
      made: { decode, transcript },
    };
  },
} as unknown as Analyzer;

async function startRegion(id: Id, ports: Record<Id, number>, database: Database) {
  const region = findRegion(id)!;
  const redisServer = await startRedis();
  const redis = createRedis(redisServer.url);
  await untilReady(redis);
  const store = await startStore({
    port: ports[id],
    region: region.aws,
    peers: own
      .filter((other) => other.id !== id)
      .map((other) => ({
        region: other.aws,
        endpoint: `http://127.0.0.1:${ports[other.id as Id]}`,
        bucket: BUCKET,
      })),
    replication: replicationOf(region, own),
    replicationDelayMs: 1,
    maxRetryMs: 50,
  });
  const objects = createObjectStore({
    region: id,
    bucket: BUCKET,
    endpoint: store.endpoint,
    maxAttempts: 1,
    connectTimeoutMs: 20_000,
    ...CREDENTIALS,
  });
  const queue = createRedisQueue({ url: redisServer.url, region: id });
  await untilReachable(queue);
  const parts = { redis, logger: silent, metrics: createMetrics() };
  const readObject = (key: string, max: number) => objects.getText(key, max);
  const stages = createStageCache({
    ...parts,
    readObject,
    writeObject: (key, text) => objects.put(key, text, { contentType: "application/json" }),
  });
  const scratch = await openScratch(store.data, id);
  const worker = createWorker({
    workerId: id,
    queue,
    objects,
    runJob: createRunJob({ secretBox, region: id, objects, analyzer, scratch, stages }),
    logger: silent,
    metrics: createMetrics(),
  });
  const stop = new AbortController();
  const cache = createResultCache({ redis, readObject });
  const endpoints = createWebhookEndpoints(database, secretBox);
  const webhooks = createWebhookKeeper({
    ...parts,
    metrics: createMetrics(),
    region: id,
    endpoints: { ...endpoints, stop: async () => undefined },
    deliveries: {
      write: createWebhookDeliveries(database).write,
      waitForReplay: (at, signal) => waitForReplay(database.primary, at, { signal }),
    },
    readResult: async (job, signal) => JSON.stringify((await cache.read(job, signal))?.result),
    isDeleted: async () => false,
    openResult: (jobId, sealed) => openResult(secretBox, jobId, sealed),
    publicUrl: undefined,
    allowLoopback: true,
  });
  const relay = createOfferRelay({
    ...parts,
    metrics: createMetrics(),
    offerCompletions: async (offers) =>
      offers.map(({ job_id, epoch }) => ({ job_id, epoch, verdict: "accepted" })),
    deleteObject: (key) => objects.delete(key),
    eraseUpload: (key) => objects.eraseVersions(key),
    cache,
    webhooks: true,
    stream: { blockMs: 50 },
  });
  const writer = createBatchWriter({
    ...parts,
    metrics: createMetrics(),
    target: {
      write: createFinalJobs(database).write,
      waitForReplay: (at, signal) => waitForReplay(database.primary, at, { signal }),
    },
    stream: { blockMs: 50 },
  });
  const loops = [worker.run(), ...[relay, writer, webhooks].map((each) => each.run(stop.signal))];

  /** Every key of Redis with all that it holds, and every byte of the bucket's folder. */
  async function dump(): Promise<string> {
    const texts: string[] = [];
    for (const key of await redis.keys("*")) {
      const type = await redis.type(key);
      const held = {
        string: () => redis.getBuffer(key).then((bytes) => bytes?.toString("latin1")),
        hash: () => redis.hgetall(key),
        list: () => redis.lrange(key, 0, -1),
        set: () => redis.smembers(key),
        zset: () => redis.zrange(key, "0", "-1", "WITHSCORES"),
        stream: () => redis.xrange(key, "-", "+"),
        // It has gone since the keys were listed.
        none: () => undefined,
      }[type];
      texts.push(key, JSON.stringify(await held!()) ?? "");
    }
    for (const entry of await readdir(store.data, { recursive: true, withFileTypes: true })) {
      texts.push(entry.name);
      if (!entry.isFile()) continue;
      const text = readFile(join(entry.parentPath, entry.name), "latin1");
      texts.push(
        await text.catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "ENOENT") throw error;
          // So has a file that was being written.
          return "";
        }),
      );
    }
    return texts.join("\n");
  }

  return {
    objects,
    queue,
    redis,
    dump,
    submit: createSubmitJob({
      region,
      queue,
      objects,
      speech: { prepare: () => undefined } as never,
      checkTarget: createCheckTarget({ endpoints } as never),
    }),
    async close() {
      worker.stop();
      stop.abort();
      await Promise.all(loops);
      await queue.close();
      redis.disconnect();
      objects.close();
      await store.remove();
      await redisServer.close();
    },
  };
}

let cluster: TestCluster;
let database: Database;
let at: Record<Id, Awaited<ReturnType<typeof startRegion>>>;

beforeAll(async () => {
  cluster = await startPostgres({ replica: true });
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.replica!.url });
  await migrate(database.primary);
  const ports = { "us-east": await freePort(), "eu-west": await freePort() };
  const [us, eu] = await Promise.all(IDS.map((id) => startRegion(id, ports, database)));
  at = { "us-east": us!, "eu-west": eu! };
}, 90_000);
afterAll(async () => {
  await Promise.all(Object.values(at ?? {}).map((region) => region.close()));
  await database?.close();
  await cluster?.close();
});

/** Every row of every table, as a replica has them that is up to date. */
async function dumpDatabase(): Promise<string> {
  const all = await flushedPosition(database.primary, []);
  await waitForReplay(database.primary, all, { timeoutMs: 30_000 });
  const tables = await database.primary<{ name: string }[]>`
    select relname as name from pg_class where relkind in ('r', 'p') and not relispartition
      and relnamespace = 'public'::regnamespace`;
  const rows = await Promise.all(
    tables.map(({ name }) =>
      database.read((orm) => orm.execute(`select t::text as row from ${name} t`)),
    ),
  );
  return rows.flatMap((each) => [...each].map(({ row }) => String(row))).join("\n");
}

/** A marked job, from the API to its row: the mark is in the recording, so in what is heard, in the metadata and the user's id. */
async function runMarked(id: Id, residency: Residency, mark: string, more: Partial<JobSpec> = {}) {
  const region = findRegion(id)!;
  const spec = jobSpec({
    id: mintJobId(region),
    upload_id: mintUploadId(region),
    tenant_id: `ten_${residency}_${mark}`,
    residency,
    parts: ["transcript"],
    user_id: `user-${mark}`,
    metadata: { note: `meta-${mark}` },
    ...more,
  });
  const { objects, submit } = at[id];
  const owner = { residency, tenantId: spec.tenant_id };
  await objects.put(uploadKey(owner, spec.upload_id), `bytes-${mark}`, {
    contentType: "audio/wav",
  });
  await submit(spec);
  await expect
    .poll(async () => {
      const [row] = await database.primary`select status from jobs where id = ${spec.id}`;
      return row?.["status"] as string | undefined;
    })
    .toBe("succeeded");
  return { spec, owner };
}

test("nothing that a bound tenant sent, or that was heard in it, is in any store of another region", async () => {
  const everywhere = await runMarked("eu-west", "global", "wide1234");
  const { spec } = await runMarked("eu-west", "eu", "bound567");
  // Replicas come in order: once the wide one's result is there, the bound one's would be.
  const probe = await runMarked("eu-west", "global", "after89");
  for (const { owner, spec: wide } of [everywhere, probe]) {
    const prefix = `results/${owner.residency}/${owner.tenantId}/${wide.id}/`;
    await expect.poll(() => at["us-east"].objects.list(prefix, 1)).toHaveLength(1);
  }
  const marks = { recording: "bytes-bound567", user: "user-bound567", metadata: "meta-bound567" };

  // The search finds what is there: all of it at home, and a wide tenant's elsewhere.
  const home = await at["eu-west"].dump();
  for (const mark of Object.values(marks)) expect(home).toContain(mark);
  expect(home).toContain("heard bytes-bound567");
  const rows = await dumpDatabase();
  const away = await at["us-east"].dump();
  for (const kind of ["heard bytes", "user", "meta"]) expect(rows).toContain(`${kind}-wide1234`);
  expect(away).toContain("heard bytes-wide1234");

  for (const mark of Object.values(marks)) {
    expect(away).not.toContain(mark);
    expect(rows).not.toContain(mark);
  }
  expect(away).not.toContain(spec.id);
  expect(rows).toContain(spec.id);
});

test("a result that may not be kept is only ever stored sealed, reaches the webhook, and leaves nothing of itself or its recording", async () => {
  const by = { actor: "test" };
  const unkept: Partial<JobSpec> = { tenant: { keeps_results: false } };
  const tenant_id = "ten_global_secret9";
  const endpoint = await startEndpoint();
  const held: ServerResponse[] = [];
  endpoint.answer = (response) => void held.push(response);
  try {
    await createTenants(database).create({ id: tenant_id, name: "t", residency: "global" }, by);
    // Without anybody to tell, the work would be for nothing.
    await expect(runMarked("eu-west", "global", "nobody9", unkept)).rejects.toMatchObject({
      code: "invalid_request",
      errors: [{ path: "webhook_url" }],
    });
    await createWebhookEndpoints(database, secretBox).store(
      {
        tenant_id,
        endpoint_id: `whe_${"1".repeat(24)}`,
        secret_id: `whs_${"1".repeat(24)}`,
        url: endpoint.url,
        events: ["job.succeeded"],
        include_result: false,
      },
      by,
    );
    const { spec, owner } = await runMarked("eu-west", "global", "secret9", unkept);
    const heard = "heard bytes-secret9";
    const everything = async () => {
      const [home, away] = await Promise.all(IDS.map((id) => at[id].dump()));
      return [home, away, await dumpDatabase()].join("\n");
    };

    // While it is under way there is a text that only the keys open; else nobody could send it again.
    await expect.poll(() => held.length).toBe(1);
    expect((await everything()).includes(heard)).toBe(false);
    expect(await at["eu-west"].redis.keys("*:sealed:*")).toHaveLength(1);
    held[0]!.end();
    await expect.poll(() => at["eu-west"].redis.keys("*:sealed:*")).toEqual([]);

    expect(endpoint.received).toHaveLength(1);
    const { data } = JSON.parse(endpoint.received[0]!.body) as WebhookPayload;
    expect(data).toMatchObject({ job_id: spec.id, result: { transcript: { text: heard } } });
    const after = await everything();
    expect(after.includes(spec.id)).toBe(true);
    expect(after.includes(heard)).toBe(false);
    const home = await at["eu-west"].dump();
    for (const kept of ["v1.", "bytes-secret9"]) expect(home.includes(kept)).toBe(false);
    expect(await at["eu-west"].objects.head(uploadKey(owner, spec.upload_id))).toBeUndefined();
    const [row] = await database.primary`
      select audio_sha256, result_key, audio_duration_s,
        (select count(*)::int from usage_events where job_id = jobs.id) as usage from jobs where id = ${spec.id}`;
    expect(row).toMatchObject({ audio_sha256: null, result_key: null, audio_duration_s: 1 });
    expect(row!["usage"]).toBe(3);
  } finally {
    await endpoint.close();
  }
});

test("another region takes no job of a bound tenant, whatever the edge believes", async () => {
  const spec = jobSpec({ residency: "eu", tenant_id: "ten_eu_strayed", user_id: "user-strayed" });
  const refused = await at["us-east"].submit(spec).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "region_unavailable" });
  expect(await at["us-east"].dump()).not.toContain("strayed");
});

test("the database itself refuses what a bound tenant's client wrote", async () => {
  const insert = database.primary`
    insert into jobs (id, created_at, tenant_id, kind, residency, region, priority, dispatch, attempt, status, usd, user_id)
    select id, created_at, tenant_id, kind, 'eu', region, priority, dispatch, attempt, status, usd, 'user'
    from jobs limit 1`;
  await expect(insert).rejects.toMatchObject({ code: "23514" });
});

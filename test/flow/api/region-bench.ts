import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AwsClient } from "aws4fetch";
import { Redis } from "ioredis";
import { pino } from "pino";
import { unpackEndedRun } from "../../../shared/contracts/ended-run.ts";
import { uploadKey } from "../../../shared/contracts/object-keys.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { SIGNATURE_HEADER, signLinkRequest } from "../../../shared/signing/link-signature.ts";
import { createSecretBox } from "../../../regions/ops/secret-box.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { queueKeys } from "../../../regions/queue/queue-keys.ts";
import type { Completion } from "../../../regions/queue/queue-port.ts";
import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import type { RetryPauses } from "../../../regions/queue/retry-pause.ts";
import { createStageCache, type StageCacheOptions } from "../../../regions/results/stage-cache.ts";
import { createObjectStore } from "../../../regions/store/object-store.ts";
import { createObjectStore as createStoreServer } from "../../../scripts/planet/object-store/create-object-store.ts";
import { untilReachable } from "../queue/until-reachable.ts";
import { startRedis } from "../../support/redis.ts";

export const REGION = "us-east";
export const LINK_SECRET = "a-secret-of-the-link-between-edge-and-region";
const BUCKET = "antiphon-test";
const CREDENTIALS = { accessKeyId: "AKTEST", secretAccessKey: "a-secret-of-the-test" };

/** What seals results that are kept nowhere else. */
export const WEBHOOK_KEY = Buffer.alloc(32, 7);
export const secretBox = createSecretBox([WEBHOOK_KEY]);
export const silent = pino({ level: "silent" });

/** A region's Redis and object store, real ones, and the means to look into them. */
export async function startRegionBench({ leaseMs = 10_000, retry = {} as RetryPauses } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-region-"));
  // As MemoryDB is: no step may touch two slots.
  const redis = await startRedis({ cluster: true });
  const client = new Redis(redis.url, { retryStrategy: () => 20 });
  client.on("error", () => undefined);
  const server = await createStoreServer({
    dataDir: join(folder, "objects"),
    region: "us-east-1",
    bucket: BUCKET,
    credentials: [CREDENTIALS],
    log: silent,
  });
  const endpoint = `http://127.0.0.1:${await server.listen(0)}`;
  const objects = createObjectStore({
    region: REGION,
    bucket: BUCKET,
    endpoint,
    maxAttempts: 1,
    connectTimeoutMs: 20_000,
    ...CREDENTIALS,
  });
  const queue = createRedisQueue({ url: redis.url, region: REGION, leaseMs, retry });
  await untilReachable(queue);
  const openStages = (changes: Partial<StageCacheOptions> = {}) =>
    createStageCache({
      redis: client,
      readObject: (key, maxBytes) => objects.getText(key, maxBytes),
      writeObject: (key, text) => objects.put(key, text, { contentType: "application/json" }),
      logger: silent,
      metrics: createMetrics(),
      ...changes,
    });
  const scratchDir = join(folder, "scratch");
  await mkdir(scratchDir);
  const children = new Set<ChildProcess>();

  /** Runs an entry of regions/ as a process of its own. */
  function start(entry: string, environment: Record<string, string>): ChildProcess {
    const path = fileURLToPath(new URL(`../../../regions/${entry}`, import.meta.url));
    const child = spawn(process.execPath, [path], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        PATH: process.env["PATH"],
        ANTIPHON_ENV: "test",
        ANTIPHON_REGION: REGION,
        REDIS_URL: redis.url,
        S3_ENDPOINT: endpoint,
        S3_BUCKET: BUCKET,
        S3_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
        S3_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
        ...environment,
      },
    });
    child.stdout!.resume();
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
  }

  return {
    redis,
    client,
    queue,
    objects,
    stages: openStages(),
    openStages,
    storeServer: server,
    folder,
    scratchDir,
    start,
    startWorker: (workerId: string, environment: Record<string, string> = {}) =>
      start("run-worker.ts", {
        WORKER_ID: workerId,
        WEBHOOK_KEYS: WEBHOOK_KEY.toString("base64"),
        LEASE_MS: String(leaseMs),
        SCRATCH_DIR: scratchDir,
        ...environment,
      }),

    /** `checked`: with its SHA-256, as whoever declares it does. */
    async putUpload(
      spec: JobSpec,
      body: Uint8Array,
      contentType = "audio/wav",
      { checked = false } = {},
    ): Promise<void> {
      const owner = { residency: spec.residency, tenantId: spec.tenant_id };
      const key = uploadKey(owner, spec.upload_id);
      if (!checked) return objects.put(key, body, { contentType });
      const { accessKeyId, secretAccessKey } = CREDENTIALS;
      const aws = new AwsClient({
        accessKeyId,
        secretAccessKey,
        service: "s3",
        region: "us-east-1",
      });
      const answer = await aws.fetch(`${endpoint}/${BUCKET}/${key}`, {
        method: "PUT",
        body: new Uint8Array(body),
        headers: {
          "content-type": contentType,
          "x-amz-checksum-sha256": createHash("sha256").update(body).digest("base64"),
        },
      });
      if (!answer.ok) throw new Error(await answer.text());
    },
    async offers(): Promise<Completion[]> {
      const entries = await client.xrange(queueKeys.offers, "-", "+");
      return entries.map(([, fields]) => unpackEndedRun(JSON.parse(fields[1]!)) as Completion);
    },
    async close(): Promise<void> {
      await Promise.all(
        [...children].map(async (child) => {
          const exit = once(child, "exit");
          child.kill("SIGKILL");
          await exit;
        }),
      );
      client.disconnect();
      await queue.close();
      objects.close();
      await server.close();
      await redis.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export type RegionBench = Awaited<ReturnType<typeof startRegionBench>>;

/** A request as the edge signs it; `signed` may differ from what is sent, to tamper with it. */
export async function edgeRequest(
  method: string,
  target: string,
  body?: unknown,
  { secret = LINK_SECRET, audience = REGION, at = Date.now(), signed = {} as object } = {},
): Promise<Request> {
  const text = body === undefined ? "" : JSON.stringify(body);
  const header = await signLinkRequest(
    secret,
    { method, target, body: text, audience, ...signed },
    at,
  );
  return new Request(`http://region.test${target}`, {
    method,
    headers: { [SIGNATURE_HEADER]: header, "x-request-id": "req_test" },
    ...(text === "" ? {} : { body: text }),
  });
}

import { once } from "node:events";
import type { ChildProcess } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Readiness } from "../../../shared/contracts/api.ts";
import { LookupKeyAnswer } from "../../../shared/contracts/internal-api.ts";
import { createDatabase } from "../../../regions/store/database.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { currentMonths, ensurePartitions } from "../../../regions/store/partitions.ts";
import { freePort } from "../../../scripts/planet/ports.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { edgeRequest, LINK_SECRET, startRegionBench, type RegionBench } from "./region-bench.ts";

let bench: RegionBench;
let postgres: TestCluster;
let server: ChildProcess;
let url: string;
const wait = { timeout: 20_000, interval: 50 };

beforeAll(async () => {
  [bench, postgres] = await Promise.all([startRegionBench(), startPostgres({ replica: true })]);
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  server = bench.start("serve-api.ts", {
    PORT: String(port),
    DATABASE_URL: postgres.clusterUrl,
    DATABASE_REPLICA_URL: postgres.replica!.url,
    EDGE_URL: "http://127.0.0.1:1",
    LINK_SECRETS: `${LINK_SECRET},another-secret-of-at-least-32-characters`,
    WEBHOOK_KEYS: Buffer.alloc(32, 7).toString("base64"),
    LOG_LEVEL: "error",
  });
}, 60_000);
afterAll(async () => {
  await bench.close();
  await postgres.close();
});

const readiness = async () => {
  const response = await fetch(`${url}/readyz`).catch(() => undefined);
  if (!response) return "no answer";
  const answer = Readiness.parse(await response.json());
  expect(response.status).toBe(answer.status === "ready" ? 200 : 503);
  return answer.checks;
};
async function call(method: string, target: string, body?: unknown, how = {}): Promise<Response> {
  const request = await edgeRequest(method, target, body, how);
  const text = await request.text();
  return fetch(url + target, { method, headers: request.headers, ...(text ? { body: text } : {}) });
}

test("it is alive at once, and ready when Redis, the bucket and the database with its schema answer", async () => {
  await expect.poll(readiness, wait).toEqual({ redis: "ok", objects: "ok", replica: "failed" });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const database = createDatabase({
    primaryUrl: postgres.clusterUrl,
    replicaUrl: postgres.replica!.url,
  });
  try {
    await migrate(database.primary);
    await ensurePartitions(database.primary, currentMonths(Date.now()));
  } finally {
    await database.close();
  }
  await expect.poll(readiness, wait).toEqual({ redis: "ok", objects: "ok", replica: "ok" });
}, 60_000);

test("a key lives from its making to its revocation", async () => {
  const hash = "ab".repeat(32);
  const lookup = async () =>
    LookupKeyAnswer.parse(
      await (await call("POST", "/internal/keys/lookup", { key_hash: hash })).json(),
    ).key;
  expect(await lookup()).toBeNull();
  const tenant = { id: "ten_acme", name: "Acme", residency: "eu" };
  const made = await call("POST", "/internal/admin/tenants", tenant);
  expect(await made.json()).toMatchObject(tenant);
  const stored = await call("POST", "/internal/admin/keys", {
    key_id: "key_one",
    key_hash: hash,
    tenant_id: "ten_acme",
    name: "one",
    scopes: ["analyze"],
    expires_at: null,
  });
  expect(stored.status).toBe(200);
  expect(await lookup()).toMatchObject({
    tenant_id: "ten_acme",
    residency: "eu",
    revoked_at: null,
  });
  const revoked = await call("POST", "/internal/admin/keys/revoke", { key_id: "key_one" });
  expect(await revoked.json()).toMatchObject({ key_id: "key_one", key_hash: hash });
  await expect.poll(lookup, wait).toMatchObject({ revoked_at: expect.any(String) });
}, 60_000);

test("a tenant's list of jobs is empty before it has any, and wants to know whose", async () => {
  const list = await call("GET", "/internal/jobs?tenant_id=ten_acme&limit=5");
  expect(await list.json()).toEqual({ data: [], next_cursor: null });
  expect((await call("GET", "/internal/jobs")).status).toBe(400);
});

test("a job is taken over HTTP, also under the other secret, and counted", async () => {
  const spec = jobSpec();
  await bench.putUpload(spec, Buffer.from("RIFF"));
  const taken = await call("POST", "/internal/jobs", spec);
  expect([taken.status, await taken.json()]).toEqual([
    202,
    { job_id: spec.id, dispatch: 1, duplicate: false, queue_position: 0 },
  ]);
  const again = await call("POST", "/internal/jobs", spec, {
    secret: "another-secret-of-at-least-32-characters",
  });
  expect(await again.json()).toMatchObject({ duplicate: true });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('antiphon_api_requests_total{route="/internal/jobs",status="202"} 2');
  expect(metrics).toContain("antiphon_jobs_waiting 1");
});

test("without its Redis it refuses jobs and says so, and recovers", async () => {
  const spec = jobSpec();
  await bench.putUpload(spec, Buffer.from("RIFF"));
  await bench.redis.stop();
  await expect.poll(readiness, wait).toMatchObject({ redis: "failed" });
  const refused = await call("POST", "/internal/jobs", spec);
  expect([refused.status, await refused.json()]).toMatchObject([
    503,
    { code: "dependency_unavailable" },
  ]);
  await bench.redis.start();
  await expect.poll(readiness, wait).toMatchObject({ redis: "ok" });
  // A node of a cluster answers pings before it takes up its slots again.
  const submit = async () => (await call("POST", "/internal/jobs", spec)).status;
  await expect.poll(submit, wait).toBe(202);
}, 60_000);

test("it exits 0 when it is told to stop", async () => {
  const exit = once(server, "exit");
  server.kill("SIGTERM");
  expect(await exit).toEqual([0, null]);
});

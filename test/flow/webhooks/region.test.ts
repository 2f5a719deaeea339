import { afterAll, beforeAll, expect, test } from "vitest";
import { Webhook } from "standardwebhooks";
import {
  CreatedWebhookEndpoint,
  RotatedWebhookSecret,
  WebhookDeliveryList,
  WebhookEndpoint,
} from "../../../shared/contracts/webhooks.ts";
import { createSecretBox } from "../../../regions/ops/secret-box.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { currentMonths, ensurePartitions } from "../../../regions/store/partitions.ts";
import { createTenants } from "../../../regions/store/tenants.ts";
import { createWebhookDeliveries } from "../../../regions/store/webhook-deliveries.ts";
import { createWebhookEndpoints } from "../../../regions/store/webhook-endpoints.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { inProcessApi } from "../api/in-process-api.ts";
import {
  edgeRequest,
  LINK_SECRET,
  startRegionBench,
  type RegionBench,
} from "../api/region-bench.ts";
import { startEdgeDouble } from "../results/edge-double.ts";
import { startKeeper } from "../results/keeper-process.ts";
import { makeRun } from "../results/make-run.ts";
import { startEndpoint } from "./start-endpoint.ts";

let bench: RegionBench;
let cluster: TestCluster;
let database: Database;
let api: Awaited<ReturnType<typeof inProcessApi>>;
const by = { actor: "test" };
const box = createSecretBox([Buffer.alloc(32, 7)]);

beforeAll(async () => {
  [bench, cluster] = await Promise.all([startRegionBench(), startPostgres({ replica: true })]);
  database = createDatabase({
    primaryUrl: cluster.clusterUrl,
    replicaUrl: cluster.replica!.url,
    replicaRestMs: 50,
  });
  await migrate(database.primary);
  await ensurePartitions(database.primary, currentMonths(Date.now()));
  for (const id of ["ten_a", "ten_b", "ten_demo"]) {
    await createTenants(database).create({ id, name: id, residency: "global" }, by);
  }
  api = await inProcessApi(bench, { databaseUrl: cluster.primary.url });
}, 90_000);
afterAll(async () => {
  await api?.close();
  await database?.close();
  await Promise.all([bench?.close(), cluster?.close()]);
});

const ask = async (target: string, body: object, expected = 200): Promise<unknown> => {
  const response = await api.app.request(
    await edgeRequest("POST", `/internal/webhooks/${target}`, body),
  );
  const answer = await response.json();
  expect([response.status, answer]).toEqual([expected, answer]);
  return answer;
};
const idOf = (n: number) => n.toString(16).padStart(24, "0");
const order = (n: number, tenant_id = "ten_a") => ({
  tenant_id,
  endpoint_id: `whe_${idOf(n)}`,
  secret_id: `whs_${idOf(n)}`,
  url: "http://127.0.0.1:9/hook",
  events: ["job.succeeded" as const],
  include_result: false,
});
const create = async (n: number, more: object = {}) =>
  CreatedWebhookEndpoint.parse(await ask("endpoints/create", { ...order(n), ...more }));
const rotate = async (n: number, endpoint: string | undefined, overlap_s: number) =>
  RotatedWebhookSecret.parse(
    await ask("secrets/rotate", {
      tenant_id: "ten_a",
      ...(endpoint === undefined ? {} : { endpoint_id: endpoint }),
      secret_id: `whs_${idOf(n)}`,
      overlap_s,
    }),
  );

test("an endpoint is made once, shown to its tenant alone, paused, resumed and deleted, with its acts in the audit log", async () => {
  const made = await create(1);
  expect(await create(1)).toEqual(made);
  expect(made).toMatchObject({ status: "active", status_reason: null });
  const one = { tenant_id: "ten_a", endpoint_id: made.id };
  const { secret: _, ...seen } = made;
  expect(await ask("endpoints/find", one)).toEqual(seen);
  expect(await ask("endpoints/list", { tenant_id: "ten_a" })).toMatchObject({ data: [seen] });
  const foreign = { ...one, tenant_id: "ten_b" };
  for (const call of ["find", "change", "delete"]) await ask(`endpoints/${call}`, foreign, 404);
  expect(await ask("endpoints/list", { tenant_id: "ten_b" })).toMatchObject({ data: [] });
  await ask("endpoints/create", { ...order(2), url: "http://10.0.0.1/" }, 400);
  await ask("endpoints/change", { ...one, url: "http://169.254.169.254/" }, 400);

  const endpoints = createWebhookEndpoints(database, box);
  const at = Date.now() + 60_000;
  await endpoints.stop(made.id, { status: "paused", reason: "it only fails", atMs: at }, by);
  expect(WebhookEndpoint.parse(await ask("endpoints/find", one))).toMatchObject({
    status: "paused",
    status_reason: "it only fails",
  });
  expect(await ask("endpoints/change", { ...one, status: "active" })).toMatchObject({
    status: "active",
    status_reason: null,
  });
  // What was decided before its owner made it active does not stop it again.
  const late = { status: "disabled", reason: "late", atMs: Date.now() - 60_000 } as const;
  await endpoints.stop(made.id, late, by);
  expect(await ask("endpoints/find", one)).toMatchObject({ status: "active" });
  await ask("endpoints/delete", one);
  await ask("endpoints/find", one, 404);
  expect(await endpoints.target(made.id)).toBeUndefined();
  const left = await database.primary`select from webhook_secrets where owner = ${made.id}`;
  expect(left).toHaveLength(0);
  const acts =
    await database.primary`select action from audit_log where target = ${made.id} order by created_at`;
  expect(acts.map(({ action }) => action)).toEqual([
    "webhook.create",
    "webhook.stop",
    "webhook.change",
    "webhook.delete",
  ]);
});

test("an operator's act is in the audit log with the key that asked for it and the request", async () => {
  const request = await edgeRequest("POST", "/internal/dead-letters/discard", { all: true });
  request.headers.set("x-antiphon-actor", "key_operator-1");
  expect((await api.app.request(request)).status).toBe(200);
  const [act] = await database.primary`
    select actor, target, request_id, details from audit_log where action = 'dead_letter.discard'`;
  expect(act).toEqual({
    actor: "key_operator-1",
    target: "us-east",
    request_id: "req_test",
    details: { all: true },
  });
});

test("while a secret is rotated both sign, under one id only once, and none is readable in the database", async () => {
  const { id, secret } = await create(10);
  const endpoints = createWebhookEndpoints(database, box);
  const secrets = async () => (await endpoints.target(id))!.secrets;
  const second = await rotate(11, id, 3600);
  expect((await rotate(11, id, 3600)).secret).toBe(second.secret);
  expect(Date.parse(second.previous_expire_at) - Date.now()).toBeGreaterThan(3_500_000);
  expect(await secrets()).toEqual([second.secret, secret]);
  const third = await rotate(12, id, 0);
  expect(await secrets()).toEqual([third.secret, secret]);
  const rows = JSON.stringify(await database.primary`select * from webhook_secrets`);
  expect(rows).not.toContain("whsec_");
  for (const each of [secret, second.secret, third.secret]) {
    expect(rows).not.toContain(each.slice("whsec_".length));
  }
  const other = createWebhookEndpoints(database, createSecretBox([Buffer.alloc(32, 8)]));
  await expect(other.target(id)).rejects.toThrow(/no key/);
});

test("a tenant has so many endpoints at most", async () => {
  for (let n = 0; n < 20; n++) await create(100 + n, { tenant_id: "ten_b" });
  await ask("endpoints/create", order(120, "ten_b"), 400);
  await create(100, { tenant_id: "ten_b" });
});

test("a job whose webhook could not be signed, or would go to a private address, is refused; with a secret it is taken", async () => {
  const submit = async (url: string) => {
    const spec = jobSpec({ tenant_id: "ten_a", webhook: { url } });
    await bench.putUpload(spec, new Uint8Array(100));
    const response = await api.app.request(await edgeRequest("POST", "/internal/jobs", spec));
    const { code } = (await response.json()) as { code?: string };
    return code ?? response.status;
  };
  expect(await submit("http://127.0.0.1:9/own")).toBe("webhook_secret_missing");
  await rotate(200, undefined, 0);
  expect(await submit("http://127.0.0.1:9/own")).toBe(202);
  expect(await submit("http://10.0.0.1/own")).toBe("invalid_request");
});

test("states of deliveries are kept by their newest, listed by page and filter, and hold nothing that a bound tenant wrote", async () => {
  const deliveries = createWebhookDeliveries(database);
  const runs = Array.from({ length: 3 }, () => makeRun({ tenantId: "ten_a" }));
  const rowOf = (n: number, more: object = {}) => ({
    id: `whd_use_${String(n).repeat(32)}`,
    webhook_id: `msg_${String(n).repeat(32)}`,
    tenant_id: "ten_a",
    residency: "global" as const,
    region: "us-east",
    job_id: runs[n]!.offer.job_id,
    event: "job.succeeded" as const,
    endpoint_id: n === 0 ? null : `whe_${idOf(n)}`,
    url: n === 0 ? "https://example.com/" : null,
    include_result: false,
    facts: {},
    result_key: null,
    status: "pending" as const,
    attempts: 1,
    response_status: 500,
    error: "refused",
    last_attempt_at: new Date().toISOString(),
    next_attempt_at: null,
    version: 2,
    ...more,
  });
  const done = { status: "delivered" as const, version: 3, attempts: 2 };
  await deliveries.write([rowOf(0), rowOf(1), rowOf(0, done), rowOf(2)]);
  const { refused } = await deliveries.write([
    rowOf(0),
    rowOf(1, { residency: "eu", facts: { metadata: { note: "content" } }, version: 9 }),
    rowOf(2, { residency: "eu", id: `whd_use_${"f".repeat(32)}`, url: "https://example.com/" }),
  ]);
  expect(refused).toEqual([1, 2]);
  const list = async (query: object) =>
    WebhookDeliveryList.parse(
      await ask("deliveries/list", { tenant_id: "ten_a", limit: 2, ...query }),
    );
  const first = await list({});
  const rest = await list({ cursor: first.next_cursor });
  const all = [...first.data, ...rest.data];
  expect(new Set(all.map(({ job_id }) => job_id))).toEqual(
    new Set(runs.map(({ offer }) => offer.job_id)),
  );
  expect(rest.next_cursor).toBeNull();
  expect((await list({ status: "delivered" })).data).toMatchObject([{ attempts: 2 }]);
  expect((await list({ job_id: runs[1]!.offer.job_id })).data).toMatchObject([{ id: rowOf(1).id }]);
  expect((await list({ endpoint_id: `whe_${idOf(2)}` })).data).toHaveLength(1);
  await ask("deliveries/list", { tenant_id: "ten_b", limit: 2, cursor: first.next_cursor }, 400);
  await ask("deliveries/find", { tenant_id: "ten_b", delivery_id: rowOf(1).id }, 404);
  await ask("deliveries/redeliver", { tenant_id: "ten_b", delivery_id: rowOf(1).id }, 404);
});

test("the keeper tells an endpoint of an accepted job, and the database how that went", async () => {
  const [endpoint, edge] = await Promise.all([startEndpoint(), startEdgeDouble(LINK_SECRET)]);
  const made = await create(300, { tenant_id: "ten_demo", url: endpoint.url });
  const run = makeRun();
  await bench.client.xadd("{antiphon}:offers", "*", "offer", JSON.stringify(run));
  const keeper = await startKeeper({
    REDIS_URL: bench.redis.url,
    DATABASE_URL: cluster.clusterUrl,
    DATABASE_REPLICA_URL: cluster.replica!.url,
    EDGE_URL: edge.url,
    LINK_SECRETS: LINK_SECRET,
    PUBLIC_URL: "https://api.test/",
  });
  try {
    await expect.poll(() => endpoint.received.length).toBe(1);
    const [{ body, headers }] = endpoint.received as [(typeof endpoint.received)[number]];
    expect(new Webhook(made.secret).verify(body, headers)).toMatchObject({
      type: "job.succeeded",
      data: { job_url: `https://api.test/v1/jobs/${run.offer.job_id}` },
    });
    const query = { tenant_id: "ten_demo", job_id: run.offer.job_id, limit: 1 };
    await expect
      .poll(async () => WebhookDeliveryList.parse(await ask("deliveries/list", query)).data)
      .toMatchObject([
        { status: "delivered", webhook_id: headers["webhook-id"], response_status: 200 },
      ]);
    const metrics = await (await fetch(`${keeper.opsUrl}/metrics`)).text();
    expect(metrics).toContain('antiphon_webhook_tries_total{outcome="delivered"} 1');
    expect(metrics).toContain("antiphon_webhooks_pending 0");
    expect(keeper.log()).not.toContain("whsec_");
  } finally {
    expect(await keeper.end("SIGTERM")).toBe(0);
    await Promise.all([endpoint.close(), edge.close()]);
  }
});

test("an endpoint that another region's replica has confirmed is told of what happens before this region's has it", async () => {
  const replica = cluster.replica!.server.connectAsSuperuser();
  try {
    await replica`select pg_wal_replay_pause()`;
    await expect
      .poll(async () => (await replica`select pg_get_wal_replay_pause_state() as s`)[0]!["s"])
      .toBe("paused");
    const endpoints = createWebhookEndpoints(database, box);
    // Written, and not confirmed: this cluster has no other replica.
    await endpoints.store(order(410), by, { timeoutMs: 1 }).catch(() => undefined);
    const { endpoint_id } = order(410);
    const subscribed = await endpoints.subscriptions(["ten_a"]);
    expect(subscribed.map(({ endpointId }) => endpointId)).toContain(endpoint_id);
    expect(await endpoints.target(endpoint_id)).toMatchObject({ status: "active" });
    expect(await endpoints.target(`whe_${idOf(411)}`)).toBeUndefined();
  } finally {
    await replica`select pg_wal_replay_resume()`;
    await replica.end();
  }
});

test("while the primary is away endpoints and secrets are read at the region's replica", async () => {
  const { id, secret } = await create(400);
  await cluster.primary.stop();
  try {
    const endpoints = createWebhookEndpoints(database, box);
    expect(await endpoints.target(id)).toMatchObject({ status: "active", secrets: [secret] });
    const subscribed = await endpoints.subscriptions(["ten_a"]);
    expect(subscribed.map(({ endpointId }) => endpointId)).toContain(id);
    expect(await endpoints.tenantSecrets("ten_a")).toHaveLength(1);
  } finally {
    await cluster.primary.start();
  }
});

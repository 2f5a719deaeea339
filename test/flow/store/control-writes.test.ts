import { afterAll, beforeAll, expect, test } from "vitest";
import { hashApiKey } from "../../../shared/contracts/api-key.ts";
import { createApiKeys } from "../../../regions/store/api-keys.ts";
import { bootstrapTenants } from "../../../regions/store/bootstrap.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { createJobsRead } from "../../../regions/store/jobs-read.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { currentMonths, ensurePartitions } from "../../../regions/store/partitions.ts";
import { waitForReplay } from "../../../regions/store/replay.ts";
import { createTenants } from "../../../regions/store/tenants.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { makeRun, newJobId } from "../results/make-run.ts";

let cluster: TestCluster;
let database: Database;
const by = { actor: "key_operator", requestId: "req_1" };

beforeAll(async () => {
  cluster = await startPostgres({ replica: true });
  database = createDatabase({
    primaryUrl: cluster.clusterUrl,
    replicaUrl: cluster.replica!.url,
    replicaRestMs: 50,
  });
  await migrate(database.primary);
  await ensurePartitions(database.primary, currentMonths(Date.now()));
}, 90_000);
afterAll(async () => {
  await database?.close();
  await cluster?.close();
});

const tenant = (id: string) => ({ id, name: "A tenant", residency: "eu" as const });
const key = async (key_id: string, tenant_id: string) => ({
  key_id,
  tenant_id,
  name: "a key",
  key_hash: await hashApiKey(key_id),
  scopes: ["analyze" as const],
  expires_at: null,
});

test("a control write can be read at the replica as soon as it is answered, and is in the audit log once", async () => {
  const [tenants, keys] = [createTenants(database), createApiKeys(database)];
  const made = await tenants.create(tenant("ten_a"), by);
  expect(await tenants.create({ ...tenant("ten_a"), name: "Another name" }, by)).toEqual(made);
  const wanted = await key("key_a", "ten_a");
  await keys.store(wanted, by);
  await keys.store(wanted, by);
  const [row] = await database.read((orm) => orm.query.apiKeys.findMany());
  expect(row).toMatchObject({ id: "key_a", tenant_id: "ten_a" });
  expect(await keys.lookup(wanted.key_hash)).toMatchObject({
    key_id: "key_a",
    residency: "eu",
    revoked_at: null,
  });

  const revoked = await keys.revoke("key_a", by);
  expect(await keys.revoke("key_a", by)).toEqual(revoked);
  expect(await keys.lookup(wanted.key_hash)).toMatchObject({ revoked_at: revoked.revoked_at });
  const acts =
    await database.primary`select action, actor, request_id from audit_log order by created_at`;
  expect(acts.map(({ action }) => action)).toEqual(["tenant.create", "key.create", "key.revoke"]);
  expect(acts[2]).toMatchObject({ actor: "key_operator", request_id: "req_1" });
});

test("keys that cannot be are refused: no tenant, a taken id, a taken hash, nothing to revoke", async () => {
  const keys = createApiKeys(database);
  await createTenants(database).create(tenant("ten_b"), by);
  const first = await key("key_b", "ten_b");
  await keys.store(first, by);
  await expect(keys.store(await key("key_c", "ten_nobody"), by)).rejects.toMatchObject({
    code: "not_found",
  });
  const others = [
    { ...first, key_hash: "0".repeat(64) },
    { ...first, key_id: "key_other" },
  ];
  for (const other of others) {
    await expect(keys.store(other, by)).rejects.toMatchObject({ code: "invalid_request" });
  }
  await expect(keys.revoke("key_nobody", by)).rejects.toMatchObject({ code: "not_found" });
  expect(await keys.lookup("f".repeat(64))).toBeNull();
});

test("a rotated key has a successor, and ends after the overlap, once however often it is asked for", async () => {
  const keys = createApiKeys(database);
  await createTenants(database).create(tenant("ten_rotate"), by);
  const old = await key("key_rotate", "ten_rotate");
  await keys.store(old, by);
  const order = {
    key_id: "key_rotate",
    new_key_id: "key_rotated",
    new_key_hash: await hashApiKey("key_rotated"),
    overlap_s: 600,
  };
  const begun = Date.now();
  const rotated = await keys.rotate(order, by);
  expect(rotated).toMatchObject({
    tenant_id: "ten_rotate",
    scopes: ["analyze"],
    key_hash: old.key_hash,
  });
  const endsAt = Date.parse(rotated.old_expires_at);
  expect(endsAt).toBeGreaterThanOrEqual(begun + 600_000);
  expect(endsAt).toBeLessThan(begun + 660_000);
  expect(await keys.rotate(order, by)).toEqual(rotated);
  expect(await keys.lookup(old.key_hash)).toMatchObject({ expires_at: rotated.old_expires_at });
  expect(await keys.lookup(order.new_key_hash)).toMatchObject({
    key_id: "key_rotated",
    expires_at: null,
  });

  // A second rotation cannot make the old key live longer, and one without overlap revokes.
  const again = {
    ...order,
    new_key_id: "key_other",
    new_key_hash: "1".repeat(64),
    overlap_s: 7200,
  };
  expect((await keys.rotate(again, by)).old_expires_at).toBe(rotated.old_expires_at);
  const last = {
    key_id: "key_other",
    new_key_id: "key_last",
    new_key_hash: "2".repeat(64),
    overlap_s: 0,
  };
  await keys.rotate(last, by);
  expect(await keys.lookup("1".repeat(64))).toMatchObject({ revoked_at: expect.any(String) });
  const over = { ...last, new_key_id: "key_never", new_key_hash: "3".repeat(64) };
  await expect(keys.rotate(over, by)).rejects.toMatchObject({ code: "invalid_request" });

  const first = await keys.list({ tenant_id: "ten_rotate", limit: 3 });
  expect(JSON.stringify(first)).not.toContain(old.key_hash);
  const rest = await keys.list({ tenant_id: "ten_rotate", limit: 3, cursor: first.next_cursor! });
  const ids = [...first.data, ...rest.data].map(({ key_id }) => key_id);
  expect(ids).toEqual(["key_last", "key_other", "key_rotate", "key_rotated"]);
  await expect(
    keys.list({ tenant_id: "ten_a", limit: 3, cursor: first.next_cursor! }),
  ).rejects.toMatchObject({ code: "invalid_request" });
});

test("what is set of a tenant goes with its keys; an issuer and audience are one tenant's", async () => {
  const [tenants, keys] = [createTenants(database), createApiKeys(database)];
  await tenants.create(tenant("ten_set"), by);
  await tenants.create(tenant("ten_other"), by);
  const own = await key("key_set", "ten_set");
  await keys.store(own, by);
  expect(await keys.lookup(own.key_hash)).not.toHaveProperty("limits");
  const limits = { per_second: 5, per_minute: 50, in_flight: 3 };
  const issuer = {
    issuer: "https://login.example/",
    audience: "antiphon",
    jwks_uri: "https://login.example/keys",
    algorithms: ["ES256" as const],
    scopes: ["analyze" as const],
  };
  const set = { limits, cors_origins: ["https://app.example"], jwt_issuers: [issuer] };
  const made = await tenants.change({ id: "ten_set", ...set }, by);
  expect(made).toMatchObject({ id: "ten_set", residency: "eu", ...set });
  expect(await tenants.settings("ten_set")).toEqual(made);
  expect(await keys.lookup(own.key_hash)).toMatchObject({ limits, cors_origins: set.cors_origins });
  expect(await keys.lookup(own.key_hash)).not.toHaveProperty("keeps_results");
  await tenants.change({ id: "ten_set", retention: { results_days: 0 } }, by);
  expect(await keys.lookup(own.key_hash)).toMatchObject({ keeps_results: false });
  const named = { issuer: issuer.issuer, audiences: [issuer.audience] };
  expect(await tenants.findIssuer(named)).toMatchObject({ keeps_results: false });
  await tenants.change({ id: "ten_set", retention: {} }, by);

  const found = { ...issuer, tenant_id: "ten_set", residency: "eu", limits };
  const token = { issuer: issuer.issuer, audiences: ["another", "antiphon"] };
  expect(await tenants.findIssuer(token)).toMatchObject(found);
  expect(await tenants.findIssuer({ ...token, audiences: ["another"] })).toBeNull();
  expect(await tenants.isKnownOrigin("https://app.example")).toBe(true);
  expect(await tenants.isKnownOrigin("https://app.example.evil")).toBe(false);
  await expect(
    tenants.change({ id: "ten_other", jwt_issuers: [issuer] }, by),
  ).rejects.toMatchObject({ code: "invalid_request" });

  // What is left out stays; null and empty lists take away.
  expect(await tenants.change({ id: "ten_set", limits: null }, by)).toEqual({
    ...made,
    limits: null,
  });
  await tenants.change({ id: "ten_set", cors_origins: [], jwt_issuers: [] }, by);
  expect(await tenants.findIssuer(token)).toBeNull();
  expect(await tenants.isKnownOrigin("https://app.example")).toBe(false);
  expect(await tenants.change({ id: "ten_other", jwt_issuers: [issuer] }, by)).toMatchObject({
    jwt_issuers: [issuer],
  });
  await expect(tenants.change({ id: "ten_nobody" }, by)).rejects.toMatchObject({
    code: "not_found",
  });
  await expect(tenants.settings("ten_nobody")).rejects.toMatchObject({ code: "not_found" });
});

test("the first tenants are made sure of, however often the keeper starts", async () => {
  const stores = { tenants: createTenants(database), apiKeys: createApiKeys(database) };
  const { key_id, key_hash, name, scopes } = await key("key_first", "ten_first");
  const wanted = [{ tenant: tenant("ten_first"), keys: [{ key_id, key_hash, name, scopes }] }];
  await bootstrapTenants(wanted, stores);
  await bootstrapTenants(wanted, stores);
  expect(await stores.apiKeys.lookup(key_hash)).toMatchObject({ key_id, tenant_id: "ten_first" });

  // A later version's first keys may do more: a planet that was kept gains it.
  const more = [
    {
      tenant: tenant("ten_first"),
      keys: [{ key_id, key_hash, name, scopes: ["analyze" as const, "speak" as const] }],
    },
  ];
  await bootstrapTenants(more, stores);
  await bootstrapTenants(wanted, stores);
  expect((await stores.apiKeys.lookup(key_hash))!.scopes).toEqual(["analyze", "speak"]);
  const acts = await database.primary`select action from audit_log where target = ${key_id}`;
  expect(acts.map(({ action }) => action)).toEqual(["key.create", "key.grant"]);
});

test("a control write without a replica to confirm it fails in time, and succeeds again with one", async () => {
  await cluster.replica!.stop();
  const tenants = createTenants(database);
  await expect(tenants.create(tenant("ten_c"), by, { timeoutMs: 300 })).rejects.toMatchObject({
    code: "dependency_unavailable",
  });
  // Reads go to the primary meanwhile.
  expect(await tenants.find("ten_a")).toMatchObject({ id: "ten_a" });
  await cluster.replica!.start();
  expect(await tenants.create(tenant("ten_c"), by, { timeoutMs: 20_000 })).toMatchObject({
    id: "ten_c",
  });
}, 60_000);

test("waiting for a replica stops when the caller does", async () => {
  const caller = new AbortController();
  const waiting = waitForReplay(
    database.primary,
    { timeline: 1, lsn: "F/FFFFFFFF" },
    {
      signal: caller.signal,
      timeoutMs: 60_000,
    },
  );
  caller.abort();
  await expect(waiting).rejects.toThrow(/abort/i);
});

test("a list goes through all of a tenant's jobs, newest first, and takes no cursor but its own", async () => {
  const list = createJobsRead(database);
  const atMs = Date.now();
  // Some share a millisecond: the id decides.
  const ids = Array.from({ length: 7 }, (_, i) => newJobId(atMs - Math.floor(i / 2)));
  const runs = ids.map((jobId, i) =>
    makeRun({ jobId, tenantId: "ten_list", userId: i % 2 ? "odd" : "even" }),
  );
  const { at } = await createFinalJobs(database).write(
    [...runs, makeRun()].map(({ envelope }) => envelope),
  );
  await waitForReplay(database.primary, at, { timeoutMs: 20_000 });

  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await list.list({ tenantId: "ten_list", limit: 2, cursor });
    expect(page.data.length).toBeLessThanOrEqual(2);
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  expect(seen).toEqual([...ids].sort((a, b) => (a.slice(8) < b.slice(8) ? 1 : -1)));

  const ofUser = await list.list({ tenantId: "ten_list", userId: "odd" });
  expect(ofUser.data.map(({ id }) => id).sort()).toEqual(ids.filter((_, i) => i % 2).sort());

  const own = (await list.list({ tenantId: "ten_list", limit: 2 })).next_cursor!;
  const [body, tag] = own.split(".") as [string, string];
  const forged = Buffer.from(JSON.stringify([0, ids[0]])).toString("base64url");
  const wrong = [
    { tenantId: "ten_demo", cursor: own },
    { tenantId: "ten_list", userId: "odd", cursor: own },
    { tenantId: "ten_list", cursor: `${forged}.${tag}` },
    { tenantId: "ten_list", cursor: `${body}.${"A".repeat(16)}` },
    { tenantId: "ten_list", cursor: "" },
    { tenantId: "ten_list", cursor: "x".repeat(5000) },
  ];
  for (const query of wrong)
    await expect(list.list(query)).rejects.toMatchObject({ code: "invalid_request" });
  // Another region goes on where the first one stopped.
  const elsewhere = createJobsRead(database);
  expect((await elsewhere.list({ tenantId: "ten_list", cursor: own })).data).toHaveLength(5);
});

test("while no primary answers, a write fails as unavailable, and works again when it is back", async () => {
  await cluster.primary.stop();
  const tenants = createTenants(database);
  await expect(tenants.create(tenant("ten_d"), by)).rejects.toMatchObject({
    code: "dependency_unavailable",
  });
  expect(await createApiKeys(database).lookup("e".repeat(64))).toBeNull();
  await cluster.primary.start();
  await expect
    .poll(() => tenants.create(tenant("ten_d"), by).catch(() => undefined), { timeout: 20_000 })
    .toMatchObject({ id: "ten_d" });
}, 60_000);

import { runInDurableObject, listDurableObjectIds } from "cloudflare:test";
import { expect, test } from "vitest";
import type { Idempotency } from "../../edge/ledger/idempotency.ts";
import { Hono } from "hono";
import { createKeyDirectory } from "../../edge/admit/key-directory.ts";
import { adminCalls } from "../../edge/calls/admin.ts";
import type { EdgeHono } from "../../edge/context.ts";
import type { CallRegion } from "../../edge/forward/call-region.ts";
import { CreatedKey, RevokedKey, RotatedKey } from "../../shared/contracts/api.ts";
import { hashApiKey, isApiKey } from "../../shared/contracts/api-key.ts";
import { StoreKey } from "../../shared/contracts/internal-api.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { codeOf, newTenant, problemOf, startEdge } from "./support/start-edge.ts";

/** An edge before regions that keep tenants and keys. */
async function ready() {
  const edge = startEdge();
  const { regions, call } = edge;
  const operator = await regions.addKey({ tenant_id: newTenant(), scopes: ["admin", "analyze"] });
  regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
  regions.on("POST /internal/admin/tenants", ({ body }) => ({
    ...body,
    created_at: new Date().toISOString(),
  }));
  regions.on("POST /internal/admin/keys", ({ body }) => {
    const { key_hash, key_id, tenant_id, scopes, expires_at } = StoreKey.parse(body);
    const record = { key_id, tenant_id, scopes, expires_at, revoked_at: null };
    regions.keys.set(key_hash, { ...record, residency: "global" });
    return { ...record, residency: "global" };
  });
  regions.on("POST /internal/admin/keys/revoke", ({ body }) => {
    const found = [...regions.keys].find(([, { key_id }]) => key_id === body["key_id"]);
    if (!found) return Response.json({}, { status: 404 });
    const revoked_at = new Date().toISOString();
    return { key_id: found[1].key_id, key_hash: found[0], revoked_at };
  });
  const createKey = async (tenant_id: string, headers = {}) =>
    call("/v1/admin/keys", { key: operator, body: { tenant_id, name: "first" }, headers });
  return { ...edge, operator, createKey };
}

test("a tenant is created through any region that answers", async () => {
  const { call, regions, operator } = await ready();
  await call("/v1/jobs", { key: operator });
  regions.down.add("us-east");
  const body = { id: newTenant(), name: "Acme", residency: "eu" };
  const response = await call("/v1/admin/tenants", { key: operator, body });
  expect([response.status, await response.json()]).toEqual([201, expect.objectContaining(body)]);
});

test("a tenant that exists stays as it is: the same again is no fault, another one is refused", async () => {
  const { call, regions, operator } = await ready();
  const id = newTenant();
  regions.on("POST /internal/admin/tenants", () => ({
    id,
    name: "Acme",
    residency: "global",
    created_at: new Date().toISOString(),
  }));
  const ask = (residency: string, name = "Acme", headers = {}) =>
    call("/v1/admin/tenants", { key: operator, body: { id, name, residency }, headers });
  const problem = await problemOf(await ask("eu"));
  expect(problem).toMatchObject({
    status: 409,
    code: "tenant_exists",
    errors: [{ path: "residency", message: "is global, and stays so" }],
  });
  const renamed = await problemOf(await ask("global", "Apex"));
  expect([renamed.code, renamed.errors?.[0]?.path]).toEqual(["tenant_exists", "name"]);
  const once = { "idempotency-key": id };
  for (const headers of [{}, once, once]) {
    expect((await ask("global", "Acme", headers)).status).toBe(201);
  }
});

test("names that the database cannot hold are refused before any region is asked", async () => {
  const { call, regions, operator } = await ready();
  for (const name of ["a\0b", "a\ud800b"]) {
    const answers = [
      await call("/v1/admin/tenants", { key: operator, body: { id: newTenant(), name } }),
      await call("/v1/admin/keys", { key: operator, body: { tenant_id: newTenant(), name } }),
    ];
    for (const answer of answers) expect(await codeOf(answer)).toBe("invalid_request");
  }
  expect(regions.requests.filter(({ path }) => path.startsWith("/internal/admin"))).toEqual([]);
});

test("a new key works, is shown once, and no region has seen it", async () => {
  const { call, regions, createKey } = await ready();
  const tenant = newTenant();
  const response = await createKey(tenant);
  expect(response.headers.get("cache-control")).toBe("no-store");
  const created = CreatedKey.parse(await response.json());
  expect(isApiKey(created.key)).toBe(true);
  expect(created).toMatchObject({ tenant_id: tenant, scopes: ["analyze"], expires_at: null });
  const [stored] = regions.asked("/internal/admin/keys");
  expect(stored!.body["key_hash"]).toBe(await hashApiKey(created.key));
  expect(JSON.stringify(stored!.body)).not.toContain(created.key);
  expect((await call("/v1/jobs", { key: created.key })).status).toBe(200);
});

test("a key asked for twice under one idempotency key is one key, sealed while it is kept", async () => {
  const { createKey, bindings, regions } = await ready();
  const tenant = newTenant();
  const headers = { "idempotency-key": "k" };
  const first = CreatedKey.parse(await (await createKey(tenant, headers)).json());
  const again = await createKey(tenant, headers);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(CreatedKey.parse(await again.json())).toEqual(first);
  expect(regions.asked("/internal/admin/keys")).toHaveLength(1);
  const namespace = bindings.IDEMPOTENCY as DurableObjectNamespace<Idempotency>;
  const kept = await Promise.all(
    (await listDurableObjectIds(namespace)).map((id) =>
      runInDurableObject(namespace.get(id), (_, state) =>
        JSON.stringify(state.storage.sql.exec("SELECT * FROM claims").toArray()),
      ),
    ),
  );
  expect(kept.join()).toContain("key_");
  expect(kept.join()).not.toContain(first.key);
});

test("a revoked key is refused at once here, and its cached record is gone", async () => {
  const { call, operator, createKey, bindings } = await ready();
  const created = CreatedKey.parse(await (await createKey(newTenant())).json());
  expect((await call("/v1/jobs", { key: created.key })).status).toBe(200);
  const path = `/v1/admin/keys/${created.key_id}`;
  const response = await call(path, { key: operator, method: "DELETE" });
  expect(RevokedKey.parse(await response.json()).key_id).toBe(created.key_id);
  expect(await bindings.KEYS.get(`key/${await hashApiKey(created.key)}`)).toBeNull();
  expect(await codeOf(await call("/v1/jobs", { key: created.key }))).toBe("revoked_api_key");
});

test("a revoked key is refused by an isolate that has not met it, whatever a lagging replica says", async () => {
  const { operator, call, createKey } = await ready();
  const created = CreatedKey.parse(await (await createKey(newTenant())).json());
  await call(`/v1/admin/keys/${created.key_id}`, { key: operator, method: "DELETE" });
  const other = startEdge();
  other.regions.on("POST /internal/keys/lookup", () => ({
    key: {
      key_id: created.key_id,
      tenant_id: created.tenant_id,
      residency: "global",
      scopes: ["analyze"],
      expires_at: null,
      revoked_at: null,
    },
  }));
  expect(await codeOf(await other.call("/v1/jobs", { key: created.key }))).toBe("revoked_api_key");
});

test("a rotated key is replaced by one that is shown once, and is over at once where no overlap is wanted", async () => {
  const { call, regions, operator, createKey } = await ready();
  const tenant = newTenant();
  const old = CreatedKey.parse(await (await createKey(tenant)).json());
  regions.on("POST /internal/admin/keys/rotate", ({ body }) => {
    const [hash, record] = [...regions.keys].find(([, { key_id }]) => key_id === body["key_id"])!;
    regions.keys.set(String(body["new_key_hash"]), {
      ...record,
      key_id: String(body["new_key_id"]),
    });
    return {
      tenant_id: record.tenant_id,
      name: "first",
      scopes: record.scopes,
      key_hash: hash,
      old_expires_at: new Date(Date.now() + Number(body["overlap_s"]) * 1000).toISOString(),
    };
  });
  const rotate = (id: string, body?: object) =>
    call(`/v1/admin/keys/${id}/rotate`, { key: operator, method: "POST", body });
  const overlapped = RotatedKey.parse(await (await rotate(old.key_id, { overlap_s: 60 })).json());
  expect(overlapped).toMatchObject({
    tenant_id: tenant,
    replaces: old.key_id,
    scopes: ["analyze"],
  });
  expect(JSON.stringify(regions.asked("/internal/admin/keys/rotate"))).not.toContain(
    overlapped.key,
  );
  for (const key of [old.key, overlapped.key]) {
    expect((await call("/v1/jobs", { key })).status).toBe(200);
  }
  const next = RotatedKey.parse(await (await rotate(overlapped.key_id, { overlap_s: 0 })).json());
  expect(await codeOf(await call("/v1/jobs", { key: overlapped.key }))).toBe("revoked_api_key");
  expect((await call("/v1/jobs", { key: next.key })).status).toBe(200);
  expect(await codeOf(await rotate(old.key_id, { overlap_s: -1 }))).toBe("invalid_request");
  expect(await codeOf(await rotate("..%2f", {}))).toBe("not_found");
  expect((await rotate(next.key_id)).status).toBe(201);
  expect(regions.asked("/internal/admin/keys/rotate").at(-1)!.body["overlap_s"]).toBe(86_400);
  const untyped = { key: operator, body: "{}", headers: { "content-type": "text/plain" } };
  expect(await codeOf(await call(`/v1/admin/keys/${next.key_id}/rotate`, untyped))).toBe(
    "unsupported_media_type",
  );
});

test("what is set of a tenant is checked before any region is asked, and https alone will do in production", async () => {
  const { call, regions, operator } = await ready();
  const id = newTenant();
  const issuer = {
    issuer: "https://login.acme.test/",
    audience: "antiphon",
    jwks_uri: "https://login.acme.test/keys",
    algorithms: ["ES256"],
    scopes: ["analyze"],
  };
  const wrong = [
    { limits: { per_second: 0, per_minute: 1, in_flight: 1 } },
    { limits: { per_second: 1 } },
    { cors_origins: ["https://app.acme.test/path"] },
    { cors_origins: ["*"] },
    { cors_origins: ["https://*.acme.test"] },
    { jwt_issuers: [{ ...issuer, algorithms: ["HS256"] }] },
    { jwt_issuers: [{ ...issuer, algorithms: ["none"] }] },
    { jwt_issuers: [{ ...issuer, scopes: ["admin"] }] },
    { residency: "eu" },
  ];
  const patch = (body: object, as = call) =>
    as(`/v1/admin/tenants/${id}`, { method: "PATCH", key: operator, body });
  for (const body of wrong) expect(await codeOf(await patch(body))).toBe("invalid_request");
  expect(regions.asked("/internal/admin/tenants/change")).toEqual([]);

  regions.on("POST /internal/admin/tenants/change", ({ body }) => ({
    name: "Acme",
    residency: "global",
    created_at: new Date().toISOString(),
    limits: null,
    cors_origins: [],
    jwt_issuers: [],
    ...body,
  }));
  const plain = { jwt_issuers: [{ ...issuer, jwks_uri: "http://localhost:1/keys" }] };
  const kept = await patch({ ...plain, cors_origins: ["http://localhost:5173"] });
  expect([kept.status, await kept.json()]).toEqual([
    200,
    expect.objectContaining({ id, ...plain }),
  ]);
  const production = startEdge({ ENVIRONMENT: "production" });
  const { changeTenant } = adminCalls(production.services);
  const app = new Hono<EdgeHono>().patch("/v1/admin/tenants/:id", changeTenant);
  const refusal = await app
    .onError((error) => Response.json({ code: (error as ApiError).code }))
    .request(`/v1/admin/tenants/${id}`, {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(plain),
    });
  expect(await refusal.json()).toEqual({ code: "invalid_request" });
});

test("a key that is known goes on while no region answers, but not for ever", async () => {
  const { regions, bindings } = await ready();
  const edge = startEdge();
  let now = Date.now();
  const key = await regions.addKey({ tenant_id: newTenant() });
  const record = regions.keys.get(await hashApiKey(key))!;
  let away = false;
  const directory = createKeyDirectory(
    bindings.KEYS,
    (async () =>
      away
        ? { kind: "unavailable", error: new ApiError("region_unavailable") }
        : { kind: "done", value: { key: record } }) as unknown as CallRegion,
    () => now,
  );
  const find = () =>
    directory
      .find(key, () => edge.services.config.regions, { requestId: "req_1", traceparent: "" })
      .then(
        ({ key_id }) => key_id,
        (error: ApiError) => error.code,
      );
  expect(await find()).toBe(record.key_id);
  away = true;
  now += 5 * 60_000;
  expect(await find()).toBe(record.key_id);
  now += 10 * 60_000;
  expect(await find()).toBe("dependency_unavailable");
});

import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createRecordCache } from "../../edge/admit/record-cache.ts";
import { createRevocationList, createRevocationSource } from "../../edge/admit/revocation-list.ts";
import { readBytes, readText } from "../../edge/admit/read-body.ts";
import type { Revocations } from "../../edge/admit/revocations.ts";
import { createStrangers } from "../../edge/admit/strangers.ts";
import { hashApiKey, mintApiKey } from "../../shared/contracts/api-key.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { codeOf, newTenant, problemOf, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

const randomKey = () => mintApiKey("test", crypto.getRandomValues(new Uint8Array(32)));

describe("an API key", () => {
  test("is asked for", async () => {
    const { call } = startEdge();
    const response = await call("/v1/jobs");
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toContain("Bearer");
    expect(await codeOf(response)).toBe("unauthenticated");
    expect(await codeOf(await call("/v1/jobs", { headers: { authorization: "Basic eDp5" } }))).toBe(
      "unauthenticated",
    );
  });

  test("with a typing error is refused without asking anyone", async () => {
    const { call, regions } = startEdge();
    const key = randomKey();
    const typo = key.slice(0, 20) + (key[20] === "A" ? "B" : "A") + key.slice(21);
    expect(await codeOf(await call("/v1/jobs", { key: typo }))).toBe("invalid_api_key");
    expect(regions.requests).toEqual([]);
  });

  test("that nobody knows is refused, after a second region agreed, and remembered as such", async () => {
    const { call, regions } = startEdge();
    const key = randomKey();
    expect(await codeOf(await call("/v1/jobs", { key }))).toBe("invalid_api_key");
    expect(regions.asked("/internal/keys/lookup")).toHaveLength(2);
    expect(await codeOf(await call("/v1/jobs", { key }))).toBe("invalid_api_key");
    expect(regions.asked("/internal/keys/lookup")).toHaveLength(2);
  });

  test("that is made up costs a network a bounded number of look-ups, and nobody else anything", async () => {
    holdTime();
    const { call, regions, bindings } = startEdge();
    regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
    const known = await regions.addKey({ tenant_id: newTenant() });
    const from = (address: string, key: string) =>
      call("/v1/jobs", { key, headers: { "cf-connecting-ip": address } });
    expect((await from("203.0.113.9", known)).status).toBe(200);
    const codes: string[] = [];
    for (let i = 0; i < 70; i++) {
      codes.push(await codeOf(await from(`203.0.113.${i}`, randomKey())));
    }
    const repeat = (code: string, times: number) => Array.from({ length: times }, () => code);
    expect(codes).toEqual([...repeat("invalid_api_key", 50), ...repeat("rate_limited", 20)]);
    // Two regions each, and one for the key that is known.
    expect(regions.asked("/internal/keys/lookup")).toHaveLength(101);
    const refused = await from("203.0.113.1", randomKey());
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    // Whom this isolate has met, it lets in; and what other networks ask has a bound of its own.
    expect((await from("203.0.113.1", known)).status).toBe(200);
    expect(await codeOf(await from("198.51.100.1", randomKey()))).toBe("invalid_api_key");
    // Nothing is stored of what nobody knows.
    const { keys } = await bindings.KEYS.list({ prefix: "key/" });
    const stored = await Promise.all(keys.map(({ name }) => bindings.KEYS.get(name, "json")));
    expect(keys.map(({ name }) => name)).toContain(`key/${await hashApiKey(known)}`);
    expect(stored.filter((each) => (each as { record: unknown }).record === null)).toEqual([]);
  });

  test("that only a lagging replica does not know yet is good", async () => {
    const { call, regions } = startEdge();
    regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
    const key = await regions.addKey({ tenant_id: newTenant() });
    const known = [...regions.keys.values()][0]!;
    regions.on("POST /internal/keys/lookup", ({ region }) => ({
      key: region === "us-east" ? null : known,
    }));
    expect((await call("/v1/jobs", { key })).status).toBe(200);
  });

  test("is looked up once, then found in KV", async () => {
    const { call, regions } = startEdge();
    regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
    const key = await regions.addKey({ tenant_id: newTenant() });
    for (let i = 0; i < 3; i++) expect((await call("/v1/jobs", { key })).status).toBe(200);
    expect(regions.asked("/internal/keys/lookup")).toHaveLength(1);
  });

  test("never reaches a region, only its hash does", async () => {
    const { call, regions } = startEdge();
    const key = await regions.addKey({ tenant_id: newTenant() });
    await call("/v1/jobs", { key });
    const seen = regions.requests.map(({ headers, body }) => JSON.stringify([[...headers], body]));
    expect(seen.join()).not.toContain(key);
  });

  test("cannot be checked while no region answers, and the answer says so", async () => {
    const { call, regions } = startEdge();
    for (const region of ["us-east", "eu-west", "ap-south"]) regions.down.add(region);
    const response = await call("/v1/jobs", { key: randomKey() });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).not.toBeNull();
    expect(await codeOf(response)).toBe("dependency_unavailable");
  });

  test("is refused when it has expired, or was revoked, or lacks the scope", async () => {
    const { call, regions } = startEdge();
    const tenant_id = newTenant();
    const past = new Date(Date.now() - 1000).toISOString();
    const expired = await regions.addKey({ tenant_id, expires_at: past });
    const revoked = await regions.addKey({ tenant_id, revoked_at: past });
    const lesser = await regions.addKey({ tenant_id });
    expect(await codeOf(await call("/v1/jobs", { key: expired }))).toBe("expired_api_key");
    expect(await codeOf(await call("/v1/jobs", { key: revoked }))).toBe("revoked_api_key");
    const tenant = { id: newTenant(), name: "A tenant" };
    const response = await call("/v1/admin/tenants", { key: lesser, body: tenant });
    expect(response.status).toBe(403);
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ code: "insufficient_scope" });
    expect(problem.detail).toContain("admin");
  });
});

describe("a record that is known", () => {
  /** A cache whose look-ups hang until they are answered, each told of. */
  function hanging() {
    let at = 1_000_000;
    const asked: PromiseWithResolvers<string | null>[] = [];
    const { KEYS } = env as unknown as { KEYS: KVNamespace };
    const cache = createRecordCache(KEYS, crypto.randomUUID(), z.string(), () => at);
    const get = () =>
      cache.get("one", () => {
        asked.push(Promise.withResolvers());
        return asked.at(-1)!.promise;
      });
    const know = async () => {
      const first = get();
      await expect.poll(() => asked).toHaveLength(1);
      asked[0]!.resolve("first");
      expect(await first).toBe("first");
    };
    return { get, know, asked, pass: (ms: number) => void (at += ms) };
  }

  test("lets its owner in while those who would know hang, and asks them once for all", async () => {
    const { get, know, asked, pass } = hanging();
    await know();
    pass(60_000);
    expect(await Promise.all(Array.from({ length: 20 }, get))).toEqual(Array(20).fill("first"));
    expect(asked).toHaveLength(2);
    // What comes late is known from then on.
    asked[1]!.resolve("second");
    await expect.poll(get).toBe("second");
    expect(asked).toHaveLength(2);
  });

  test("is asked for in earnest once it has not been heard of for ten minutes", async () => {
    const { get, know, asked, pass } = hanging();
    await know();
    pass(60_000 + 10 * 60_000);
    const late = get();
    await expect.poll(() => asked).toHaveLength(2);
    asked[1]!.reject(new ApiError("dependency_unavailable"));
    await expect(late).rejects.toMatchObject({ code: "dependency_unavailable" });
  });
});

describe("strangers", () => {
  const nobody = async () => null;
  const codeOfCall = (call: Promise<unknown>) =>
    call.then(
      () => "asked",
      (error: ApiError) => error.code,
    );

  test("are looked up again as time passes, and at most fifty at a time", async () => {
    let now = 1_000_000;
    const introduce = createStrangers(() => now).from("2001:db8::1");
    const all = await Promise.all(
      Array.from({ length: 60 }, (_, i) => codeOfCall(introduce(`name-${i}`, nobody))),
    );
    expect(all.filter((code) => code === "asked")).toHaveLength(50);
    expect(await codeOfCall(introduce("later", nobody))).toBe("rate_limited");
    now += 3_000;
    const later = [];
    for (let i = 0; i < 5; i++) later.push(await codeOfCall(introduce(`later-${i}`, nobody)));
    expect(later.filter((code) => code === "asked")).toHaveLength(3);
  });

  test("who turn out to be known do not count, however many requests they send at once", async () => {
    const introduce = createStrangers(() => 1_000_000).from(undefined);
    const found = async () => "a record";
    for (let i = 0; i < 60; i++) {
      expect(await codeOfCall(introduce(`key-${i}`, found))).toBe("asked");
    }
    const twins = Array.from({ length: 200 }, () => codeOfCall(introduce("one key", found)));
    expect(new Set(await Promise.all(twins))).toEqual(new Set(["asked"]));
    // Nor do those whom nobody could be asked about.
    const away = () => Promise.reject(new ApiError("dependency_unavailable"));
    for (let i = 0; i < 60; i++) {
      expect(await codeOfCall(introduce(`away-${i}`, away))).toBe("dependency_unavailable");
    }
  });
});

describe("a revocation", () => {
  const source = () =>
    createRevocationSource(
      (env as unknown as { REVOCATIONS: DurableObjectNamespace<Revocations> }).REVOCATIONS,
    );

  test("is seen by another isolate within ten seconds", async () => {
    let now = 1_000_000;
    const here = createRevocationList(source(), () => now);
    const there = createRevocationList(source(), () => now);
    const keyId = `key_${crypto.randomUUID()}`;
    expect(await there.isRevoked(keyId)).toBe(false);
    await here.revoke(keyId);
    expect(await here.isRevoked(keyId)).toBe(true);
    now += 9_999;
    expect(await there.isRevoked(keyId)).toBe(true);
  });

  test("list is asked for at most every five seconds", async () => {
    let now = 1_000_000;
    let asked = 0;
    const { list, append } = source();
    const counting = { append, list: (seq: number) => (asked++, list(seq)) };
    const revocations = createRevocationList(counting, () => now);
    for (let i = 0; i < 50; i++) {
      await revocations.isRevoked("key_any");
      now += 99;
    }
    expect(asked).toBe(1);
    now += 100;
    await revocations.isRevoked("key_any");
    expect(asked).toBe(2);
  });

  test("list that cannot be refreshed is trusted for ten seconds, then lets nobody in", async () => {
    let now = 1_000_000;
    let away = false;
    const { list, append } = source();
    const revocations = createRevocationList(
      {
        append,
        list: (seq) => (away ? Promise.reject(new ApiError("dependency_unavailable")) : list(seq)),
      },
      () => now,
    );
    expect(await revocations.isRevoked("key_any")).toBe(false);
    away = true;
    now += 9_000;
    expect(await revocations.isRevoked("key_any")).toBe(false);
    now += 1_000;
    await expect(revocations.isRevoked("key_any")).rejects.toMatchObject({
      code: "dependency_unavailable",
    });
    away = false;
    expect(await revocations.isRevoked("key_any")).toBe(false);
  });

  test("list keeps entries for a day, longer than any cache of a key", async () => {
    const { REVOCATIONS } = env as unknown as { REVOCATIONS: DurableObjectNamespace<Revocations> };
    const object = REVOCATIONS.get(REVOCATIONS.idFromName("kept for a day"));
    const listed = await runInDurableObject(object, async (instance) => {
      const start = Date.now();
      instance.now = () => start;
      await instance.append("key_old");
      instance.now = () => start + 23 * 3_600_000;
      await instance.append("key_young");
      const before = (await instance.list(0)).entries.map(({ keyId }) => keyId);
      instance.now = () => start + 25 * 3_600_000;
      await instance.append("key_new");
      return [before, (await instance.list(0)).entries.map(({ keyId }) => keyId)];
    });
    expect(listed).toEqual([
      ["key_old", "key_young"],
      ["key_young", "key_new"],
    ]);
  });
});

describe("a request", () => {
  test("keeps its own id and trace, if they are sane", async () => {
    const { call, regions } = startEdge();
    const key = await regions.addKey({ tenant_id: newTenant() });
    const trace = "0af7651916cd43dd8448eb211c80319c";
    const headers = { "x-request-id": "mine-1", traceparent: `00-${trace}-b7ad6b7169203331-01` };
    const response = await call("/v1/jobs", { key, headers });
    expect(response.headers.get("x-request-id")).toBe("mine-1");
    const sent = regions.asked("/internal/jobs")[0]!.headers;
    expect(sent.get("x-request-id")).toBe("mine-1");
    expect(sent.get("traceparent")).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
    expect(sent.get("traceparent")).not.toBe(headers.traceparent);
  });

  test("gets a new id in place of a strange or long one", async () => {
    const { call } = startEdge();
    for (const given of ["a b", "x".repeat(65), '{"a"}', "é"]) {
      const response = await call("/healthz", {
        headers: { "x-request-id": encodeURI(given) === given ? given : "a\tb" },
      });
      expect(response.headers.get("x-request-id")).toMatch(/^req_/);
    }
  });

  test("with a body beyond the limit is cut off while it is read", async () => {
    const { call, regions } = startEdge();
    const key = await regions.addKey({ tenant_id: newTenant() });
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 16_384;
        controller.enqueue(new Uint8Array(16_384).fill(0x20));
      },
    });
    const response = await call("/v1/uploads", { key, body: endless });
    expect(await codeOf(response)).toBe("body_too_large");
    expect(sent).toBeLessThan(1_000_000);
  });

  test("whose body does not come to its end is ended, and the body is left", async () => {
    let left = false;
    const stuck = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array([0x7b])),
      cancel: () => void (left = true),
    });
    await expect(readText({ body: stuck }, 100, 20)).rejects.toMatchObject({
      code: "body_too_slow",
    });
    expect(left).toBe(true);
    await expect(readBytes({ body: new ReadableStream() }, 100, 20)).rejects.toMatchObject({
      code: "body_too_slow",
    });
  });

  test("passes none of its headers on, forged or doubled ones included", async () => {
    const { call, regions } = startEdge();
    regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
    const key = await regions.addKey({ tenant_id: newTenant() });
    const forged = {
      "antiphon-region": "eu-west",
      "antiphon-signature": "v2 t=1,n=forged-forged-forged,s=forged",
      "x-antiphon-tenant": "ten_other",
      "x-antiphon-internal": "forged",
      "x-antiphon-actor": "key_forged",
      "x-forwarded-for": "10.0.0.1, forged",
      "x-forwarded-host": "forged.test",
      "x-real-ip": "10.0.0.1",
      forwarded: "for=forged",
      cookie: "session=forged",
      "content-language": "forged",
    };
    expect((await call("/v1/jobs", { key, headers: forged })).status).toBe(200);
    const [sent] = regions.asked("/internal/jobs");
    expect([...sent!.headers.keys()].toSorted()).toEqual([
      "accept",
      "antiphon-signature",
      "traceparent",
      // Whose key it was, in the edge's own words.
      "x-antiphon-actor",
      "x-request-id",
    ]);
    expect(JSON.stringify([...sent!.headers])).not.toContain("forged");
    // Doubled: the runtime joins them, and neither is believed.
    const doubled = new Headers({ authorization: `Bearer ${key}` });
    doubled.append("authorization", `Bearer ${key}`);
    expect(await codeOf(await call("/v1/jobs", { headers: Object.fromEntries(doubled) }))).toBe(
      "unauthenticated",
    );
    const regionTwice = { "x-antiphon-region": "us-east, eu-west" };
    expect(await codeOf(await call("/v1/jobs", { key, headers: regionTwice }))).toBe(
      "invalid_request",
    );
  });

  test("that is not JSON, or not said to be, is told so", async () => {
    const { call, regions } = startEdge();
    const key = await regions.addKey({ tenant_id: newTenant() });
    expect(await codeOf(await call("/v1/uploads", { key, body: "{" }))).toBe("malformed_json");
    const headers = { "content-type": "text/plain" };
    expect(await codeOf(await call("/v1/uploads", { key, body: "{}", headers }))).toBe(
      "unsupported_media_type",
    );
    const problem = await problemOf(
      await call("/v1/uploads", { key, body: { content_type: "image/png", bytes: 0, more: 1 } }),
    );
    expect(problem.code).toBe("invalid_request");
    expect(problem.errors?.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["content_type", "bytes"]),
    );
  });
});

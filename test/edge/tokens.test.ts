import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from "jose";
import { expect, test } from "vitest";
import { createTokenDirectory } from "../../edge/admit/token-directory.ts";
import type { JwtIssuer } from "../../shared/contracts/tenant-settings.ts";
import { draftOf } from "./support/jobs.ts";
import { codeOf, newTenant, problemOf, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

/** Another for each test: what is known of an issuer is cached. */
const newIssuer = () => `https://login.acme.test/${crypto.randomUUID()}/`;
const AUDIENCE = "antiphon";
type Algorithm = JwtIssuer["algorithms"][number];

/** An edge before a tenant whose issuer publishes one key. */
async function ready(alg: Algorithm = "ES256", algorithms: Algorithm[] = [alg]) {
  const edge = startEdge();
  const { regions } = edge;
  const tenant = newTenant();
  const ISSUER = newIssuer();
  const keys: { kid: string; key: CryptoKey; jwk: object }[] = [];
  const published = { fetched: 0, answers: true };
  async function addKey(kid: string, publish = true) {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const made = { kid, key: privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg } };
    if (publish) keys.push(made);
    return made;
  }
  await addKey("k1");
  regions.elsewhere.set("login.acme.test", () => {
    published.fetched++;
    if (!published.answers) throw new Error("Network connection lost.");
    return Response.json({ keys: keys.map(({ jwk }) => jwk) });
  });
  const issuer = {
    issuer: ISSUER,
    audience: AUDIENCE,
    jwks_uri: "https://login.acme.test/keys",
    algorithms,
    scopes: ["analyze"],
    tenant_id: tenant,
    residency: "global",
  };
  regions.on("POST /internal/issuers/lookup", ({ body }) => {
    const mine = body["issuer"] === ISSUER && (body["audiences"] as string[]).includes(AUDIENCE);
    return { issuer: mine ? issuer : null };
  });
  regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
  const token = async ({
    claims = {} as Record<string, unknown>,
    kid = "k1",
    key = keys[0]!.key,
    header = {},
  } = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const all = {
      iss: ISSUER,
      aud: AUDIENCE,
      sub: "u-1",
      exp: now + 600,
      scope: "analyze",
      ...claims,
    };
    return new SignJWT(JSON.parse(JSON.stringify(all)) as Record<string, unknown>)
      .setProtectedHeader({ alg, kid, ...header })
      .sign(key);
  };
  const ask = async (given: string) => edge.call("/v1/jobs", { key: given });
  return { ...edge, ISSUER, tenant, keys, addKey, published, token, ask };
}

test.each(["RS256", "ES256", "EdDSA"] as const)(
  "a token signed with %s speaks for the tenant that named its issuer and audience",
  async (alg) => {
    const { ask, token, regions, tenant, published } = await ready(alg);
    for (let i = 0; i < 3; i++) expect((await ask(await token())).status).toBe(200);
    expect(regions.asked("/internal/jobs")[0]!.query.get("tenant_id")).toBe(tenant);
    // The issuer's keys and our own record of it were fetched once.
    expect(published.fetched).toBe(1);
    expect(regions.asked("/internal/issuers/lookup")).toHaveLength(1);
    expect(JSON.stringify(regions.requests.map(({ headers }) => [...headers]))).not.toContain(
      "eyJ",
    );
  },
);

test("what a stranger says of consistency does not go with the look-up of who it is", async () => {
  const { call, token, regions, tenant } = await ready();
  regions.on("POST /internal/origins/lookup", () => ({ known: false }));
  const headers = { "x-antiphon-consistency": "made-up", origin: "https://page.test" };
  await call("/v1/jobs", { key: await token(), headers });
  await call("/v1/jobs", { key: await regions.addKey({ tenant_id: tenant }), headers });
  await call("/v1/jobs", { headers });
  const sent = (path: string) =>
    new Set(regions.asked(path).map((asked) => asked.headers.get("x-antiphon-consistency")));
  for (const what of ["issuers", "keys", "origins"]) {
    expect([what, [...sent(`/internal/${what}/lookup`)]]).toEqual([what, [null]]);
  }
  expect([...sent("/internal/jobs")]).toEqual(["made-up"]);
});

test("tokens that come together before the issuer's keys are known are all let in", async () => {
  const { ask, token, regions, keys } = await ready();
  const [fetching, mayAnswer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  regions.elsewhere.set("login.acme.test", async () => {
    fetching.resolve();
    await mayAnswer.promise;
    return Response.json({ keys: keys.map(({ jwk }) => jwk) });
  });
  const given = await token();
  const first = ask(given);
  await fetching.promise;
  const others = [ask(given), ask(given)];
  setTimeout(() => mayAnswer.resolve(), 50);
  const answers = await Promise.all([first, ...others]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
});

test("a token that is over, early, for others, of others, or without an end or subject is refused", async () => {
  const { ask, token } = await ready();
  const now = Math.floor(Date.now() / 1000);
  const wrong: Record<string, unknown>[] = [
    { exp: now - 60 },
    { nbf: now + 600 },
    { exp: null },
    { exp: now + 2 * 24 * 3600 },
    { sub: undefined },
    { aud: "another" },
    { aud: undefined },
    { iss: "https://login.other.test/" },
    { iss: undefined },
    { iss: 5 },
  ];
  for (const claims of wrong) {
    const response = await ask(await token({ claims }));
    expect([claims, await codeOf(response)]).toEqual([claims, "invalid_token"]);
  }
  const problem = await problemOf(await ask(await token({ claims: { exp: now - 60 } })));
  expect(problem.detail).toContain("expired");
});

test("a token whose algorithm the tenant did not name is refused, though its signature holds", async () => {
  const { ask, token } = await ready("ES256", ["RS256"]);
  expect(await codeOf(await ask(await token()))).toBe("invalid_token");
});

test("a token has those of its scopes that the issuer may give, and never admin", async () => {
  const { call, ask, token } = await ready();
  for (const scope of ["speak", "", "admin", "analyzer"]) {
    expect(await codeOf(await ask(await token({ claims: { scope } })))).toBe("insufficient_scope");
  }
  const all = await token({ claims: { scope: "admin speak analyze" } });
  expect((await ask(all)).status).toBe(200);
  expect(await codeOf(await call("/v1/admin/tenants/ten_a", { key: all }))).toBe(
    "insufficient_scope",
  );
});

test("no trick with the header passes: no algorithm, a secret's, another's key, a key of its own, a critical extension", async () => {
  const { ask, token, addKey, keys, published, ISSUER } = await ready("RS256");
  const stranger = await addKey("k1", false);
  expect(await codeOf(await ask(await token({ key: stranger.key })))).toBe("invalid_token");
  expect(
    await codeOf(await ask(await token({ key: stranger.key, header: { jwk: stranger.jwk } }))),
  ).toBe("invalid_token");
  const ownKeys = { jku: "https://evil.test/keys", x5u: "https://evil.test/keys" };
  expect(await codeOf(await ask(await token({ key: stranger.key, header: ownKeys })))).toBe(
    "invalid_token",
  );
  const [, payload, signature] = (await token()).split(".");
  const encode = (header: object) =>
    btoa(JSON.stringify(header)).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");
  const unsigned = [
    `${encode({ alg: "none" })}.${payload}.`,
    `${encode({ alg: "none", kid: "k1" })}.${payload}.${signature}`,
    `${encode({ alg: "RS256", kid: "k1", crit: ["b64"], b64: false })}.${payload}.${signature}`,
  ];
  // The public key, which everyone has, in the role of a secret.
  const asSecret = new TextEncoder().encode(JSON.stringify(keys[0]!.jwk));
  const secret = await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: "u", scope: "analyze" })
    .setExpirationTime("5m")
    .setProtectedHeader({ alg: "HS256", kid: "k1" })
    .sign(asSecret);
  for (const each of [...unsigned, secret]) {
    expect(["invalid_token", "invalid_api_key"]).toContain(await codeOf(await ask(each)));
  }
  expect(published.fetched).toBeLessThanOrEqual(2);
});

const directoryOf = (
  { bindings, services }: Awaited<ReturnType<typeof ready>>,
  now: () => number,
) =>
  createTokenDirectory({
    kv: bindings.KEYS,
    callRegion: services.callRegion,
    allowHttp: false,
    now,
  });

test("a key that the issuer rotated in is found, and made-up ones do not make us ask it over and over", async () => {
  const edge = await ready();
  let now = Date.now();
  const directory = directoryOf(edge, () => now);
  const trace = { requestId: "req_1", traceparent: "" };
  const find = (token: string) =>
    directory
      .find(token, () => edge.services.config.regions, trace)
      .then(
        () => "found",
        (error: { code: string }) => error.code,
      );
  expect(await find(await edge.token())).toBe("found");
  const second = await edge.addKey("k2");
  const rotated = await edge.token({ kid: "k2", key: second.key });
  now += 31_000;
  expect(await find(rotated)).toBe("found");
  for (let i = 0; i < 20; i++) {
    expect(await find(await edge.token({ kid: `made-up-${i}`, key: second.key }))).toBe(
      "invalid_token",
    );
  }
  expect(edge.published.fetched).toBe(2);
  // The issuer is away: its keys hold for an hour, then nobody is believed.
  edge.published.answers = false;
  now += 30 * 60_000;
  const later = { claims: { exp: Math.floor(now / 1000) + 7_200 } };
  expect(await find(await edge.token(later))).toBe("found");
  now += 60 * 60_000;
  expect(await find(await edge.token(later))).toBe("dependency_unavailable");
});

test("after a first try that failed the issuer is asked again in 2 s, and not before", async () => {
  const edge = await ready();
  let now = Date.now();
  const directory = directoryOf(edge, () => now);
  const token = await edge.token();
  const find = () =>
    directory
      .find(token, () => edge.services.config.regions, { requestId: "req_1", traceparent: "" })
      .then(
        () => "found",
        (error: { code: string }) => error.code,
      );
  edge.published.answers = false;
  expect(await find()).toBe("dependency_unavailable");
  edge.published.answers = true;
  now += 1_900;
  expect(await find()).toBe("dependency_unavailable");
  expect(edge.published.fetched).toBe(1);
  now += 200;
  expect(await find()).toBe("found");
});

test("tokens of made-up issuers cost a network a bounded number of look-ups", async () => {
  holdTime();
  const { token, regions, ask } = await ready();
  const good = await token();
  expect((await ask(good)).status).toBe(200);
  const codes: string[] = [];
  for (let i = 0; i < 52; i++) {
    codes.push(await codeOf(await ask(await token({ claims: { iss: newIssuer() } }))));
  }
  expect(codes[49]).toBe("invalid_token");
  expect(codes.slice(50)).toEqual(["rate_limited", "rate_limited"]);
  expect(regions.asked("/internal/issuers/lookup")).toHaveLength(101);
  expect((await ask(good)).status).toBe(200);
});

test("a token may not do what concerns the tenant as a whole: that needs an API key", async () => {
  const { call, token, regions, tenant } = await ready();
  const key = await token();
  const endpoint = `/v1/webhook-endpoints/whe_${"a".repeat(24)}`;
  const refused: [string, string, object?][] = [
    ["POST", "/v1/deletions", { all: true }],
    ["POST", "/v1/deletions", { user_id: "u-1" }],
    ["POST", "/v1/webhook-endpoints", { url: "https://example.com/hook" }],
    ["PATCH", endpoint, { status: "paused" }],
    ["DELETE", endpoint],
    ["POST", `${endpoint}/rotate`],
    ["POST", "/v1/webhook-secret/rotate"],
  ];
  for (const [method, path, body] of refused) {
    const answer = await call(path, { method, key, ...(body ? { body } : {}) });
    const { code, detail } = await problemOf(answer);
    expect([path, code]).toEqual([path, "insufficient_scope"]);
    expect(detail).toContain("API key");
  }
  expect(regions.requests.filter(({ path }) => /webhooks|deletions/.test(path))).toEqual([]);
  // A job of its own it may delete; this one is none.
  const job_id = draftOf(tenant).id;
  const one = await call("/v1/deletions", { key, body: { job_id } });
  expect(await codeOf(one)).toBe("job_not_found");
});

test("keys are fetched over https alone, up to a size, and from where the tenant said", async () => {
  const { regions, token, services, ISSUER } = await ready();
  const trace = { requestId: "req_1", traceparent: "" };
  const ask = async (jwks_uri: string, allowHttp: boolean, answer: () => Response) => {
    const fetched: string[] = [];
    regions.elsewhere.set("keys.acme.test", (request) => (fetched.push(request.url), answer()));
    regions.on("POST /internal/issuers/lookup", () => ({
      issuer: {
        issuer: ISSUER,
        audience: AUDIENCE,
        jwks_uri,
        algorithms: ["ES256"],
        scopes: ["analyze"],
        tenant_id: "ten_a",
        residency: "global",
      },
    }));
    const directory = createTokenDirectory({
      kv: { get: async () => null, put: async () => undefined } as unknown as KVNamespace,
      callRegion: services.callRegion,
      allowHttp,
    });
    const code = await directory
      .find(await token(), () => services.config.regions, trace)
      .then(
        () => "found",
        (error: { code: string }) => error.code,
      );
    return [code, fetched.length];
  };
  const huge = () => new Response(`{"keys":[],"more":"${"x".repeat(70_000)}"}`);
  const moved = () =>
    new Response(null, { status: 302, headers: { location: "http://10.0.0.1/" } });
  expect(await ask("http://keys.acme.test/", false, huge)).toEqual(["dependency_unavailable", 0]);
  expect(await ask("https://keys.acme.test/", true, huge)).toEqual(["dependency_unavailable", 1]);
  expect(await ask("https://keys.acme.test/", true, moved)).toEqual(["dependency_unavailable", 1]);
});

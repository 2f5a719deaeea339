import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { expect, test } from "vitest";
import { eventually, operator, planet } from "./planet-under-test.ts";

const ask = (key: string, path = "/v1/jobs", headers: Record<string, string> = {}) =>
  fetch(planet.edge + path, { headers: { authorization: `Bearer ${key}`, ...headers } });
const newTenantId = () => `ten_${randomUUID().slice(0, 8)}`;
const codeOf = async (answer: Response) => ((await answer.json()) as { code: string }).code;

test("a tenant's limits, origins and rotated keys hold at the edge, as they were set in a region", async () => {
  const id = newTenantId();
  const origin = `https://${id.replace("_", "-")}.example`;
  await operator.admin.createTenant({ id, name: "Limited" });
  const limits = { per_second: 5, per_minute: 5, in_flight: 5 };
  await operator.admin.changeTenant(id, { limits, cors_origins: [origin] });
  expect(await operator.admin.getTenant(id)).toMatchObject({ limits, cors_origins: [origin] });

  const preflight = await fetch(`${planet.edge}/v1/jobs`, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "GET" },
  });
  expect(preflight.headers.get("access-control-allow-origin")).toBe(origin);

  const old = await operator.admin.createKey({ tenant_id: id, name: "old" });
  const first = await ask(old.key, "/v1/jobs", { origin });
  expect(first.status).toBe(200);
  expect(first.headers.get("access-control-allow-origin")).toBe(origin);
  const next = await operator.admin.rotateKey(old.key_id, { overlap_s: 0 });
  expect(await codeOf(await ask(old.key))).toBe("revoked_api_key");
  const { data } = await operator.admin.listKeys({ tenant_id: id });
  expect(data.map(({ key_id }) => key_id).toSorted()).toEqual([old.key_id, next.key_id].toSorted());

  // One comes back every twelve seconds, so it is used up however slowly this runs.
  const last = await eventually(async () => {
    const answer = await ask(next.key);
    return answer.status === 200 ? undefined : answer;
  });
  expect([last.status, await codeOf(last)]).toEqual([429, "rate_limited"]);
  expect(Number(last.headers.get("retry-after"))).toBeGreaterThan(0);
});

test("a token of the tenant's own issuer stands in for a key", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256" };
  const issuer = createServer((_, response) => response.end(JSON.stringify({ keys: [jwk] })));
  issuer.listen(0, "127.0.0.1");
  await once(issuer, "listening");
  try {
    const id = newTenantId();
    await operator.admin.createTenant({ id, name: "With tokens" });
    const iss = `https://login.example/${id}`;
    const jwks_uri = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`;
    await operator.admin.changeTenant(id, {
      jwt_issuers: [{ issuer: iss, audience: "antiphon", jwks_uri, algorithms: ["ES256"] }],
    });
    const token = (scope: string) =>
      new SignJWT({ scope })
        .setProtectedHeader({ alg: "ES256", kid: "k1" })
        .setIssuer(iss)
        .setAudience("antiphon")
        .setSubject("u-1")
        .setExpirationTime("5m")
        .sign(privateKey);
    const answer = await ask(await token("analyze"));
    expect([answer.status, await answer.json()]).toEqual([200, { data: [], next_cursor: null }]);
    expect(await codeOf(await ask(await token("listen")))).toBe("insufficient_scope");
    const forged = `${(await token("analyze")).slice(0, -8)}AAAAAAAA`;
    expect(await codeOf(await ask(forged))).toBe("invalid_token");
  } finally {
    issuer.close();
  }
});

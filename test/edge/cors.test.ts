import { expect, test } from "vitest";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

const newOrigin = () => `https://${crypto.randomUUID()}.acme.test`;

async function ready() {
  const edge = startEdge();
  const { regions, call } = edge;
  // Others for each test: what is known of an origin is cached.
  const [OURS, THEIRS] = [newOrigin(), newOrigin()];
  regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
  regions.on("POST /internal/origins/lookup", ({ body }) => ({
    known: [OURS, THEIRS].includes(String(body["origin"])),
  }));
  const key = await regions.addKey({ tenant_id: newTenant(), cors_origins: [OURS] });
  const preflight = (origin: string, headers = "authorization, content-type", path = "/v1/jobs") =>
    call(path, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": headers,
      },
    });
  const ask = (origin: string) => call("/v1/jobs", { key, headers: { origin } });
  return { ...edge, OURS, THEIRS, key, preflight, ask };
}
const allowed = ({ headers }: Response) => headers.get("access-control-allow-origin");

test("a preflight, which carries no key, is allowed for a page of any tenant, and for no other", async () => {
  const { preflight, OURS } = await ready();
  const answer = await preflight(OURS, "Authorization, X-Stainless-Lang, Cookie, X-Evil");
  expect([answer.status, allowed(answer)]).toEqual([204, OURS]);
  expect(answer.headers.get("access-control-allow-headers")).toBe(
    "authorization, x-stainless-lang",
  );
  expect(answer.headers.get("access-control-allow-methods")).toContain("PATCH");
  expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
  expect(answer.headers.get("vary")).toContain("Origin");
  for (const origin of [
    `${OURS}.evil.test`,
    "https://evil.test",
    "null",
    `${OURS}/`,
    "javascript:1",
  ]) {
    expect([origin, allowed(await preflight(origin))]).toEqual([origin, null]);
  }
});

test("an answer can be read by the pages of the key's own tenant alone, and varies by origin", async () => {
  const { ask, call, key, OURS, THEIRS } = await ready();
  const own = await ask(OURS);
  expect([own.status, allowed(own)]).toEqual([200, OURS]);
  expect(own.headers.get("access-control-expose-headers")).toContain("x-request-id");
  const foreign = await ask(THEIRS);
  expect([foreign.status, allowed(foreign)]).toEqual([200, null]);
  const none = await call("/v1/jobs", { key });
  for (const answer of [own, foreign, none]) expect(answer.headers.get("vary")).toContain("Origin");
});

test("a page can read why it was refused before its key was known", async () => {
  const { call, OURS } = await ready();
  const answer = await call("/v1/jobs", { headers: { origin: OURS } });
  expect([allowed(answer), await codeOf(answer)]).toEqual([OURS, "unauthenticated"]);
  const stranger = await call("/v1/jobs", { headers: { origin: "https://evil.test" } });
  expect(allowed(stranger)).toBeNull();
});

test("origins are looked up once, and made-up ones not without end", async () => {
  const { preflight, regions, OURS } = await ready();
  for (let i = 0; i < 5; i++) await preflight(OURS);
  expect(regions.asked("/internal/origins/lookup")).toHaveLength(1);
  for (let i = 0; i < 60; i++) await preflight(`https://made-up-${i}.test`);
  // Two regions have to agree that an origin is unknown; the loop may straddle seconds.
  expect(regions.asked("/internal/origins/lookup").length).toBeLessThanOrEqual(1 + 2 * 59);
});

test("signed audio may be played by any page: its signature is the permit", async () => {
  const { preflight, call } = await ready();
  const path = `/v1/audio/eu-west/${"ab".repeat(32)}.wav`;
  expect(allowed(await preflight("https://any.test", "range", path))).toBe("*");
  const answer = await call(path, { headers: { origin: "https://any.test" } });
  expect([allowed(answer), await codeOf(answer)]).toEqual(["*", "invalid_signature"]);
});

test("what is spoken as a job or a batch is no signed audio, however its path looks", async () => {
  const { preflight, call, key } = await ready();
  const origin = "https://any.test";
  for (const path of ["/v1/audio/speech/async", "/v1/audio/speech/batch"]) {
    expect([path, allowed(await preflight(origin, "authorization", path))]).toEqual([path, null]);
    const answer = await call(path, { method: "POST", key, headers: { origin } });
    expect([path, allowed(answer)]).toEqual([path, null]);
  }
});

import { describe, expect, test } from "vitest";
import { UsageReport } from "../../shared/contracts/usage.ts";
import { UserHistory } from "../../shared/contracts/user-history.ts";
import { codeOf, NEAR_MUMBAI, newTenant, problemOf, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

const PITCH = "F0semitoneFrom27.5Hz_sma3nz_amean";

async function ready(more: object = {}) {
  const edge = startEdge();
  const tenant = newTenant();
  const key = await edge.regions.addKey({ tenant_id: tenant, ...more });
  edge.regions.on("POST /internal/usage/read", ({ body }) => ({
    from: body["from"],
    to: body["to"],
    as_of: "2026-11-21T10:00:00.000Z",
    data: [
      {
        day: "2026-11-20",
        usd: 0.5,
        stages: [{ stage: "decode", unit: "compute_second", quantity: 1, usd: 0.5, events: 1 }],
      },
    ],
    next_cursor: "opaque+/=",
  }));
  edge.regions.on("POST /internal/users/analyses", ({ body }) => ({
    user_id: body["user_id"],
    from: body["from"],
    to: body["to"],
    data: [],
    next_cursor: null,
  }));
  return { ...edge, tenant, key };
}

describe("usage", () => {
  test("is what the nearest region has summed, of this tenant alone, page by page", async () => {
    const { call, regions, tenant, key } = await ready({ residency: "eu" });
    const path = "/v1/usage?from=2026-11-01&to=2026-11-20&limit=5&cursor=abc%2B";
    const response = await call(path, { key, cf: NEAR_MUMBAI });
    expect(UsageReport.parse(await response.json())).toMatchObject({
      data: [{ day: "2026-11-20", usd: 0.5 }],
      next_cursor: "opaque+/=",
    });
    const [asked] = regions.asked("/internal/usage/read");
    // Figures are no content: a bound tenant's too are read where it is nearest.
    expect(asked!.region).toBe("ap-south");
    expect(asked!.body).toEqual({
      tenant_id: tenant,
      from: "2026-11-01",
      to: "2026-11-20",
      limit: 5,
      cursor: "abc+",
    });
  });

  test("without a range is of the last 30 days, and of the 30 up to a last day", async () => {
    holdTime();
    const { call, regions, key } = await ready();
    await call("/v1/usage", { key });
    await call("/v1/usage?to=2026-03-01", { key });
    const [first, second] = regions.asked("/internal/usage/read").map(({ body }) => body);
    expect(first!["to"]).toBe(new Date().toISOString().slice(0, 10));
    const days =
      (Date.parse(String(first!["to"])) - Date.parse(String(first!["from"]))) / 86_400_000;
    expect(days).toBe(29);
    expect(second).toMatchObject({ from: "2026-01-31", to: "2026-03-01" });
  });

  test("is for keys that analyse and for keys that speak, and for no others", async () => {
    const { call, regions, tenant } = await ready();
    const keyWith = (scope: "analyze" | "speak" | "admin") =>
      regions.addKey({ tenant_id: tenant, scopes: [scope] });
    expect((await call("/v1/usage", { key: await keyWith("analyze") })).status).toBe(200);
    expect((await call("/v1/usage", { key: await keyWith("speak") })).status).toBe(200);
    expect(await codeOf(await call("/v1/usage", { key: await keyWith("admin") }))).toBe(
      "insufficient_scope",
    );
    expect(await codeOf(await call("/v1/usage"))).toBe("unauthenticated");
  });
});

describe("an end user's history", () => {
  test("is asked of a permitted region, with the features once each", async () => {
    const { call, regions, tenant, key } = await ready();
    const user = encodeURIComponent("a/b?c=#1%");
    const path = `/v1/users/${user}/analyses?from=2026-11-01&to=2026-11-20&features=${PITCH},${PITCH}&limit=3`;
    const response = await call(path, { key, cf: NEAR_MUMBAI });
    expect(UserHistory.parse(await response.json())).toMatchObject({ user_id: "a/b?c=#1%" });
    const [asked] = regions.asked("/internal/users/analyses");
    expect(asked!.region).toBe("ap-south");
    expect(asked!.body).toEqual({
      tenant_id: tenant,
      user_id: "a/b?c=#1%",
      from: "2026-11-01",
      to: "2026-11-20",
      features: [PITCH],
      limit: 3,
    });
  });

  test("of a tenant that is bound to a jurisdiction is said not to be there, and nothing is asked", async () => {
    const { call, regions, key } = await ready({ residency: "eu" });
    const problem = await problemOf(await call("/v1/users/u-1/analyses", { key }));
    expect(problem).toMatchObject({ code: "not_available", retryable: false });
    expect(problem.detail).toContain("bound to eu");
    expect(regions.asked("/internal/users/analyses")).toEqual([]);
  });
});

test("a range that cannot be, a feature that is none, a limit past all bounds: each is named", async () => {
  const { call, regions, key } = await ready();
  const both = [
    ["from=2026-11-02&to=2026-11-01", "from"],
    ["from=2025-01-01&to=2027-01-02", "from"],
    ["from=2099-01-01", "from"],
    ["from=0001-01-01", "from"],
    ["to=2100-01-01", "to"],
    ["to=2026-02-30", "to"],
    ["to=2026-11-01T00:00:00Z", "to"],
    ["limit=0", "limit"],
    ["limit=101", "limit"],
    [`cursor=${"x".repeat(513)}`, "cursor"],
  ] as const;
  const features = [
    ["features=", "features.0"],
    ["features=pitch", "features.0"],
    [`features=${PITCH},__proto__`, "features.1"],
  ] as const;
  for (const [path, queries] of [
    ["/v1/usage", both],
    ["/v1/users/u-1/analyses", [...both, ...features]],
  ] as const) {
    for (const [query, field] of queries) {
      const problem = await problemOf(await call(`${path}?${query}`, { key }));
      expect([query, problem.code, problem.errors?.[0]?.path]).toEqual([
        query,
        "invalid_request",
        field,
      ]);
    }
  }
  for (const user of ["%20", "x".repeat(129), "%C3%A9"]) {
    expect(await codeOf(await call(`/v1/users/${user}/analyses`, { key }))).toBe("invalid_request");
  }
  expect(regions.asked("/internal/usage/read")).toEqual([]);
  expect(regions.asked("/internal/users/analyses")).toEqual([]);
});

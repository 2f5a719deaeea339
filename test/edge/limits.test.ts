import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { createLimitState } from "../../edge/admit/limit-state.ts";
import { createTenantGate, type LeaseSource } from "../../edge/admit/tenant-gate.ts";
import type { TenantLimits } from "../../edge/admit/tenant-limits.ts";
import { newTenant, problemOf, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

const LIMITS = { per_second: 100, per_minute: 600, in_flight: 10 };

/** Isolates before one tenant's limits, with a clock that stands still unless told. */
function isolates(count: number, limits = LIMITS) {
  const clock = { now: 1_000_000 };
  const lease = createLimitState(() => clock.now);
  const asked = { times: 0 };
  const away = { is: false };
  const source: LeaseSource = async (_tenant, _residency, request) => {
    asked.times++;
    if (away.is) throw new Error("the object does not answer");
    return lease(request);
  };
  const later: Promise<unknown>[] = [];
  const key = { tenant_id: "ten_a", residency: "global" as const, limits };
  const gates = Array.from({ length: count }, () => {
    const gate = createTenantGate({ source, defaults: limits, now: () => clock.now });
    return {
      /** How many of `wanted` requests get in; each leaves at once. */
      async admit(wanted: number) {
        let admitted = 0;
        for (let i = 0; i < wanted; i++) {
          const pass = await gate.enter(key, (work) => void later.push(work)).catch(() => null);
          pass?.leave();
          if (pass) admitted++;
        }
        await Promise.all(later);
        return admitted;
      },
      enter: () => gate.enter(key, (work) => void later.push(work)),
    };
  });
  return { gates, clock, asked, away };
}

describe("a tenant's rate", () => {
  test("is the limit to the last request over all isolates, and they ask for a lease, not for each request", async () => {
    const { gates, asked } = isolates(3);
    const admitted = await Promise.all(gates.map(({ admit }) => admit(80)));
    const all = admitted.reduce((a, b) => a + b, 0);
    expect(all).toBeLessThanOrEqual(100);
    // Each of the others may hold a tenth of it unused.
    expect(all).toBeGreaterThanOrEqual(80);
    expect(asked.times).toBeLessThan(all / 3);
  });

  test("comes back by the second, and in the long run by the minute", async () => {
    const { gates, clock } = isolates(1);
    const [gate] = gates;
    expect(await gate!.admit(150)).toBe(100);
    let admitted = 100;
    for (let second = 0; second < 60; second++) {
      clock.now += 1_000;
      admitted += await gate!.admit(150);
    }
    // A full bucket at the start, and a minute's worth that came back.
    expect(admitted).toBeGreaterThan(1_150);
    expect(admitted).toBeLessThanOrEqual(1_200);
  });

  test("that is used up is refused without asking anyone until a token is there", async () => {
    const { gates, clock, asked } = isolates(1);
    await gates[0]!.admit(101);
    const before = asked.times;
    expect(await gates[0]!.admit(500)).toBe(0);
    expect(asked.times).toBe(before);
    clock.now += 20;
    expect(await gates[0]!.admit(1)).toBe(1);
  });

  test("is counted by each isolate for itself while the object is away", async () => {
    const { gates, away } = isolates(2);
    away.is = true;
    expect(await gates[0]!.admit(150)).toBe(100);
    expect(await gates[1]!.admit(150)).toBe(100);
  });

  test("is kept by the tenant's object for all who ask, and what was not used goes back", async () => {
    const namespace = (env as unknown as { TENANT_LIMITS: DurableObjectNamespace<TenantLimits> })
      .TENANT_LIMITS;
    const object = namespace.get(namespace.idFromName(newTenant()));
    await runInDurableObject(object, async (instance) => {
      instance.now = () => 1_000_000;
      const ask = (isolate: string, tokens: number, unused = 0) =>
        instance.lease({ isolate, limits: LIMITS, tokens, unused, slots: 6 });
      expect(await ask("a", 70)).toMatchObject({ tokens: 70, slots: 6 });
      expect(await ask("b", 70)).toMatchObject({ tokens: 30, slots: 4 });
      expect(await ask("c", 1)).toMatchObject({ tokens: 0, slots: 0, retryMs: 10 });
      expect(await ask("a", 5, 20)).toMatchObject({ tokens: 5 });
      expect(await ask("b", 70)).toMatchObject({ tokens: 15 });
    });
  });
});

describe("requests in flight", () => {
  test("are limited over all isolates, and a place is free again once one has its answer", async () => {
    const { gates } = isolates(2);
    const first = await Promise.all(Array.from({ length: 6 }, () => gates[0]!.enter()));
    await Promise.all(Array.from({ length: 2 }, () => gates[1]!.enter()));
    const more = await Promise.allSettled(Array.from({ length: 4 }, () => gates[1]!.enter()));
    const refused = more.filter(({ status }) => status === "rejected");
    expect(refused.length).toBeGreaterThanOrEqual(2);
    for (const { reason } of refused as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ code: "too_many_in_flight" });
    }
    for (const pass of first) pass.leave();
    await expect(gates[0]!.enter()).resolves.toBeDefined();
  });
});

describe("an answer", () => {
  async function ready(limits = { per_second: 3, per_minute: 3, in_flight: 5 }) {
    const edge = startEdge();
    edge.regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
    const key = await edge.regions.addKey({ tenant_id: newTenant(), limits });
    return { ...edge, key };
  }

  test("tells the limits and what is left of them, and a refusal when to come back", async () => {
    holdTime();
    const { call, key } = await ready();
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await call("/v1/jobs", { key }));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(answers[0]!.headers.get("ratelimit-policy")).toBe(
      '"burst";q=3;w=1, "sustained";q=3;w=60, "in-flight";q=5;qu="concurrent-requests"',
    );
    const left = answers.map(({ headers }) =>
      Number(/"sustained";r=(\d+);t=\d+/.exec(headers.get("ratelimit")!)![1]),
    );
    expect(left).toEqual([2, 1, 0, 0]);
    const last = answers[3]!;
    const seconds = Number(last.headers.get("retry-after"));
    expect(seconds).toBe(20);
    expect(await problemOf(last)).toMatchObject({ code: "rate_limited", retryable: true });
  });

  test("to a refused request cost no region anything, and other tenants go on", async () => {
    const { call, key, regions } = await ready({ per_second: 1, per_minute: 1, in_flight: 1 });
    await call("/v1/jobs", { key });
    const before = regions.requests.length;
    for (let i = 0; i < 5; i++) expect((await call("/v1/jobs", { key })).status).toBe(429);
    expect(regions.requests).toHaveLength(before);
    const other = await regions.addKey({ tenant_id: newTenant() });
    expect((await call("/v1/jobs", { key: other })).status).toBe(200);
  });

  test("without the scope counts too", async () => {
    const { call, key } = await ready({ per_second: 2, per_minute: 2, in_flight: 5 });
    const ask = () => call("/v1/admin/keys/key_a", { method: "DELETE", key });
    expect([(await ask()).status, (await ask()).status, (await ask()).status]).toEqual([
      403, 403, 429,
    ]);
  });
});

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { readEdgeConfig } from "../../edge/env.ts";
import { createCallRegion, type CallRegion } from "../../edge/forward/call-region.ts";
import { createMetrics } from "../../edge/ops/metrics.ts";
import { createReadRegions } from "../../edge/forward/read-regions.ts";
import { createRetryBudget } from "../../edge/forward/retry-budget.ts";
import { createProbeBook } from "../../edge/route/probe-book.ts";
import { createRouter } from "../../edge/route/candidates.ts";
import { createRefreshHealth } from "../../edge/route/refresh-health.ts";
import { createRegionHealth } from "../../edge/route/region-health.ts";
import type { RegionProbes } from "../../edge/route/region-probes.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { isEjected, isSlow, trustedViews } from "../../shared/policies/region-verdict.ts";
import { z } from "zod";
import { edgeBindings } from "./support/bindings.ts";
import { seen, seenFrom } from "./support/failover.ts";
import { stubRegions } from "./support/stub-regions.ts";
import { putOffAlarms } from "./support/time.ts";

function clock(at = 1_000_000) {
  const now = () => at;
  return { now, pass: (ms: number) => void (at += ms) };
}

describe("a vantage point", () => {
  /** A prober of its own, each alarm of which is one round. */
  async function prober(vantage = "us") {
    const regions = stubRegions();
    const ready = (region: string) => ({
      status: "ready",
      region,
      checks: {},
      waiting_jobs: 0,
      running_jobs: 0,
    });
    regions.on("GET /readyz", ({ region }) => ready(region));
    regions.on("GET /internal/load", ({ region }) => ({
      v: 1,
      region,
      workers: 1,
      capacity: 1,
      active_jobs: 0,
      active_compute_s: 0,
      queued_jobs: 0,
      queued_compute_s: 0,
      speed: 1,
      expected_wait_s: { interactive: 1, standard: 7, batch: null },
      reported_at_ms: 0,
      ttl_ms: 3000,
    }));
    const { REGION_PROBES } = env as unknown as {
      REGION_PROBES: DurableObjectNamespace<RegionProbes>;
    };
    const object = REGION_PROBES.get(REGION_PROBES.idFromName(crypto.randomUUID()));
    const time = clock(Date.now());
    const config = readEdgeConfig(edgeBindings());
    await runInDurableObject(object, async (probes, state) => {
      putOffAlarms(state);
      probes.now = time.now;
      probes.rounds = 1;
      probes.config = () => config;
      await probes.view(vantage);
    });
    // No alarm may ring once there are no stub regions any more.
    onTestFinished(() =>
      runInDurableObject(object, async (probes, state) => {
        probes.config = () => ({ ...config, regions: [] });
        await state.storage.deleteAlarm();
      }),
    );
    const round = async () => {
      await runDurableObjectAlarm(object);
      return object.view(vantage);
    };
    return { regions, object, time, round, ready };
  }

  test("sees a region fail and come back, and for how long", async () => {
    const { regions, round, time } = await prober();
    const us = async () => (await round()).regions.find(({ region }) => region === "us-east");
    expect(await us()).toMatchObject({ failures: 0, failingForMs: null, backForMs: null });
    regions.down.add("us-east");
    expect(await us()).toMatchObject({ failures: 1, failingForMs: 0 });
    time.pass(1_500);
    expect(await us()).toMatchObject({ failures: 2, failingForMs: 1_500 });
    regions.down.clear();
    expect(await us()).toMatchObject({ failures: 0, failingForMs: null, backForMs: 0 });
  });

  test("counts a region that is not ready, or answers something else, as one that failed", async () => {
    const { regions, round, ready } = await prober();
    regions.on("GET /readyz", ({ region }) =>
      region === "us-east"
        ? Response.json({ ...ready(region), status: "not_ready" }, { status: 503 })
        : region === "eu-west"
          ? new Response("<html>")
          : ready(region),
    );
    const { regions: probes } = await round();
    expect(Object.fromEntries(probes.map(({ region, failures }) => [region, failures]))).toEqual({
      "us-east": 1,
      "eu-west": 1,
      "ap-south": 0,
    });
  });

  test("asks the regions of its own jurisdiction for their load", async () => {
    const { regions, round } = await prober("eu");
    const view = await round();
    expect(regions.asked("/internal/load").map(({ region }) => region)).toEqual(["eu-west"]);
    expect(view.regions.filter(({ waits }) => waits).map(({ region }) => region)).toEqual([
      "eu-west",
    ]);
  });

  test("rests once nobody has looked for a minute, and begins again with the next look", async () => {
    const { object, time } = await prober();
    const alarm = () => runInDurableObject(object, (_, state) => state.storage.getAlarm());
    time.pass(59_000);
    await runDurableObjectAlarm(object);
    expect(await alarm()).not.toBeNull();
    time.pass(2_000);
    await runDurableObjectAlarm(object);
    expect(await alarm()).toBeNull();
    await object.view("us");
    expect(await alarm()).not.toBeNull();
  });
});

describe("a region is ejected", () => {
  test("by two failures in a row from one vantage, or by one from each of two", () => {
    const fails = (us: number, eu: number) =>
      isEjected(
        [
          { vantage: "us", failures: us },
          { vantage: "eu", failures: eu },
        ].map(({ vantage, failures }) => {
          const view = seenFrom(vantage);
          const regions = view.regions.map((probe) =>
            probe.region === "us-east" ? { ...probe, failures } : probe,
          );
          return { ...view, regions };
        }),
        "us-east",
      );
    expect([fails(0, 0), fails(1, 0), fails(2, 0), fails(1, 1)]).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  test("by nobody who is cut off himself, or has not looked for long", () => {
    const all = { "us-east": 60_000, "eu-west": 60_000, "ap-south": 60_000 };
    expect(trustedViews(seen(all))).toEqual([]);
    const stale = seen({ "us-east": 60_000 }).map((view) => ({ ...view, ageMs: 6_001 }));
    expect(trustedViews(stale)).toEqual([]);
    expect(isEjected([], "us-east")).toBeUndefined();
  });
});

test("a region without workers is back when it has some, not when its API answers", () => {
  const { now, pass } = clock();
  const book = createProbeBook(now);
  const back = () => book.view("us").regions[0]!.backForMs;
  const waits = (seconds: number | null) =>
    book.loaded("us-east", { interactive: seconds, standard: seconds, batch: seconds });
  waits(0);
  expect(back()).toBeNull();
  book.failed("us-east");
  book.failed("us-east");
  book.answered("us-east", 5);
  pass(12_000);
  expect(back()).toBe(12_000);
  waits(null);
  expect(back()).toBe(12_000);
  waits(0.5);
  expect(back()).toBe(0);
  pass(3_000);
  waits(0);
  expect(back()).toBe(3_000);
});

test("a region is slow by its own measure, not by how far it is", () => {
  const book = createProbeBook(() => 0);
  const probe = () => book.view("us").regions[0]!;
  for (let i = 0; i < 50; i++) book.answered("ap-south", 200);
  expect(isSlow(probe())).toBe(false);
  for (let i = 0; i < 5; i++) book.answered("ap-south", 2_000);
  expect(isSlow(probe())).toBe(true);
  for (let i = 0; i < 10; i++) book.answered("ap-south", 200);
  expect(isSlow(probe())).toBe(false);
});

describe("an isolate", () => {
  test("passes a region over for longer after each failure, lets one request try it, and forgets it all with an answer", () => {
    const { now, pass } = clock();
    const health = createRegionHealth(now);
    const pausesFor = () => {
      let ms = 0;
      for (; !health.isHealthy("us-east"); ms += 100) pass(100);
      return ms;
    };
    const pauses = Array.from({ length: 6 }, () => {
      health.failed("us-east");
      return pausesFor();
    });
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    health.began("us-east");
    expect(health.isHealthy("us-east")).toBe(false);
    health.answered("us-east");
    expect(health.isHealthy("us-east")).toBe(true);
    health.failed("us-east");
    expect(pausesFor()).toBe(1_000);
  });

  test("gives a region that it passed over for long its requests step by step, and at once after a hiccup", () => {
    const { now, pass } = clock();
    const health = createRegionHealth(now);
    const back = () => health.view("us-east").backForMs;
    health.failed("us-east");
    health.failed("us-east");
    health.answered("us-east");
    expect(back()).toBeNull();
    for (let i = 0; i < 3; i++) health.failed("us-east");
    pass(2_000);
    health.answered("us-east");
    expect(back()).toBe(0);
    pass(5_000);
    expect(back()).toBe(5_000);
    // The probes saw it come back before this isolate could use it: the later counts.
    const views = seen();
    for (const { regions } of views) for (const probe of regions) probe.backForMs = 20_000;
    health.learn(views, now());
    expect(back()).toBe(5_000);
    pass(1_000);
    expect(health.view("eu-west").backForMs).toBe(21_000);
    // Nobody asked it for long after it could be used again: it counts from then.
    for (let i = 0; i < 5; i++) health.failed("us-east");
    pass(60_000);
    health.answered("us-east");
    expect(back()).toBe(45_000);
  });

  test("believes the probes while they are fresh, and itself alone after that", () => {
    const { now, pass } = clock();
    const health = createRegionHealth(now);
    health.learn(seen({ "eu-west": 3_000 }), now());
    expect([health.isHealthy("eu-west"), health.isHealthy("us-east")]).toEqual([false, true]);
    expect(health.isHopeless("eu-west")).toBe(false);
    health.failed("eu-west");
    expect(health.isHopeless("eu-west")).toBe(true);
    pass(6_001);
    expect(health.isHealthy("eu-west")).toBe(true);
  });

  test("knows a region's wait by class, and its latency as measured next to the client", () => {
    const { now } = clock();
    const health = createRegionHealth(now);
    const waits = { interactive: 1, standard: 7, batch: null };
    const views = ["us", "eu"].map((vantage) => {
      const view = seenFrom(vantage);
      const regions = view.regions.map((probe) => ({
        ...probe,
        latencyMs: vantage === "us" ? 5 : 90,
        ...(vantage === "eu" && probe.region === "eu-west" ? { waits } : {}),
      }));
      return { ...view, regions };
    });
    health.learn(views, now());
    expect(health.view("eu-west", "us", "standard")).toMatchObject({
      latencyMs: 5,
      expectedWaitS: 7,
    });
    expect(health.view("eu-west", "eu", "batch")).toMatchObject({
      latencyMs: 90,
      expectedWaitS: Number.POSITIVE_INFINITY,
    });
    expect(health.view("us-east", "us").expectedWaitS).toBeNull();
  });

  test("leaves a region that is ejected while it is asked, where another can be", async () => {
    const regions = stubRegions();
    const answer = Promise.withResolvers<unknown>();
    regions.on("POST /internal/jobs", () => answer.promise);
    const config = readEdgeConfig(edgeBindings());
    const { now } = clock();
    const health = createRegionHealth(now);
    const callRegion = createCallRegion({ config, health });
    const ask = (mayLeave: boolean) =>
      callRegion(findRegion("us-east")!, {
        method: "POST",
        target: "/internal/jobs",
        body: {},
        answer: z.string(),
        timeoutMs: 600_000,
        mayLeave,
      });
    const stays = ask(false);
    const leaves = ask(true);
    await expect.poll(() => regions.asked("/internal/jobs")).toHaveLength(2);
    health.learn(seen({ "us-east": 3_000 }), now());
    // It may have been taken: it was on its way.
    expect((await leaves).kind).toBe("unclear");
    // Asked in spite of what was known, it has its time.
    const late = ask(true);
    await expect.poll(() => regions.asked("/internal/jobs")).toHaveLength(3);
    answer.resolve("taken");
    expect(await Promise.all([stays, late])).toEqual(
      Array(2).fill({ kind: "done", value: "taken" }),
    );
  });

  test("refuses at once what only a region could take that neither it nor the probes can reach", () => {
    const { now } = clock();
    const health = createRegionHealth(now);
    const router = createRouter(readEdgeConfig(edgeBindings()), health);
    const ask = () =>
      router.candidates({ request: new Request("https://edge.test/"), residency: "eu" });
    health.failed("eu-west");
    expect(ask().map(({ id }) => id)).toEqual(["eu-west"]);
    health.learn(seen({ "eu-west": 3_000 }), now());
    expect(ask).toThrow(new ApiError("region_unavailable"));
  });

  test("looks at the vantages twice a second at most, and goes on with what it knew when none answers", async () => {
    const { now, pass } = clock();
    const learn = vi.fn<(views: unknown, atMs: number) => void>();
    let views = seen();
    const refresh = createRefreshHealth({ look: async () => views }, { learn }, now);
    await refresh();
    expect(refresh()).toBeUndefined();
    pass(500);
    views = [];
    await refresh();
    expect(learn.mock.calls).toEqual([[seen(), 1_000_000]]);
  });
});

test("retries are a fifth of the requests, and a few for those who have hardly any", () => {
  const { now, pass } = clock();
  const budget = createRetryBudget(now);
  const takesAll = () => {
    let taken = 0;
    while (budget.takes("read")) taken++;
    return taken;
  };
  expect(takesAll()).toBe(20);
  for (let i = 0; i < 50; i++) budget.began();
  expect(takesAll()).toBeGreaterThanOrEqual(9);
  pass(2_000);
  expect(takesAll()).toBe(4);
});

describe("a read", () => {
  const candidates = ["us-east", "eu-west"].map((id) => findRegion(id)!);
  const call = { method: "GET", target: "/x", answer: z.string(), timeoutMs: 1_000 } as const;
  type Answer = Awaited<ReturnType<CallRegion>>;

  function reads(answers: Record<string, Promise<Answer>>, usualReadMs = 50) {
    const asked: string[] = [];
    const callRegion = (async ({ id }) => {
      asked.push(id);
      return answers[id]!;
    }) as CallRegion;
    const health = { usualReadMs: () => usualReadMs, readTook: () => undefined };
    const budget = createRetryBudget(clock().now);
    const metrics = createMetrics();
    const read = createReadRegions(callRegion, health, budget, metrics);
    return { asked, budget, metrics, read: () => read(candidates, call) };
  }
  const done = (value: string) => Promise.resolve({ kind: "done", value } as Answer);
  const never = new Promise<Answer>(() => undefined);
  const away = Promise.resolve({
    kind: "unavailable",
    error: new ApiError("region_unavailable"),
  } as Answer);

  test("that takes longer than nearly all do is also asked of the next region", async () => {
    const { read, asked, metrics } = reads({
      "us-east": never,
      "eu-west": done("from the second"),
    });
    expect(await read()).toBe("from the second");
    expect(asked).toEqual(["us-east", "eu-west"]);
    expect(metrics.render()).toContain(
      'antiphon_edge_hedges_total{region="eu-west",result="won"} 1\n',
    );
  });

  test("that is answered in time is asked once", async () => {
    const { read, asked } = reads({ "us-east": done("in time"), "eu-west": never });
    expect(await read()).toBe("in time");
    expect(asked).toEqual(["us-east"]);
  });

  test("goes on to the next region when the first fails, unless there were too many retries", async () => {
    const { read, budget } = reads({ "us-east": away, "eu-west": done("second") }, 60_000);
    expect(await read()).toBe("second");
    while (budget.takes("read"));
    await expect(read()).rejects.toMatchObject({ code: "dependency_unavailable" });
  });
});

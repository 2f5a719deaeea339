import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { readEdgeConfig } from "../../edge/env.ts";
import { createDescribeJob } from "../../edge/deliver/describe-job.ts";
import { createDispatchJob } from "../../edge/forward/dispatch-job.ts";
import { createRetryBudget } from "../../edge/forward/retry-budget.ts";
import type { LedgerClient } from "../../edge/ledger/ledger-client.ts";
import type { OpenShards } from "../../edge/ledger/open-shards.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { ledgerShardName } from "../../shared/policies/ledger-shard.ts";
import { LOST_AFTER_MS, type VantageView } from "../../shared/policies/region-verdict.ts";
import { edgeBindings } from "./support/bindings.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { AHEAD_MS, hold, ring, seen, seenFrom, tell } from "./support/failover.ts";
import { newTenant, startEdge } from "./support/start-edge.ts";
import { stubRegions } from "./support/stub-regions.ts";

const usEastLost = seen({ "us-east": LOST_AFTER_MS });

/** An accepted job of us-east, whose region then goes away. */
async function accepted(more: Partial<ReturnType<typeof draftOf>> = {}, regionId = "us-east") {
  const regions = stubRegions();
  regions.refuse("GET /internal/jobs/{id}", "job_not_found");
  const draft = { ...draftOf(newTenant(), regionId), ...more };
  const shard = shardOf(draft);
  await shard.reserve(draft, regionId);
  await shard.accept(draft.id, 1);
  const submitted = () =>
    regions.asked("/internal/jobs").map(({ region, body }) => [region, body["dispatch"]]);
  const status = () => shard.status(draft.id);
  return { regions, draft, shard, submitted, status };
}

describe("a job whose region is lost", () => {
  test("goes to the next permitted region under a new dispatch, which alone can end it", async () => {
    const { regions, draft, shard, submitted, status } = await accepted();
    regions.down.add("us-east");
    await tell(shard, "lost", "us-east", { views: usEastLost });
    expect(submitted()).toEqual([["eu-west", 2]]);
    expect(await status()).toMatchObject({ state: "accepted", region: "eu-west", dispatch: 2 });
    const late = offerOf(draft, { dispatch: 1, attempt: 1 });
    const own = offerOf(draft, { dispatch: 2, attempt: 1 }, { region: "eu-west" });
    expect(await shard.complete([late, own, late])).toEqual([
      "superseded",
      "accepted",
      "superseded",
    ]);
  });

  test("is taken from its first region once that is back, which cannot end it by that either", async () => {
    const { regions, draft, shard, submitted, status } = await accepted();
    regions.down.add("us-east");
    await tell(shard, "lost", "us-east", { views: usEastLost });
    regions.requests.splice(0);
    regions.down.clear();
    await tell(shard, "back", "us-east");
    expect(submitted()).toEqual([["us-east", 2]]);
    expect(regions.asked("/internal/jobs")[0]!.body).toMatchObject({
      id: draft.id,
      fault: { code: "region_unavailable" },
    });
    const epoch = { dispatch: 2, attempt: 1 };
    const error = { code: "audio_corrupt" as const, detail: "Cut.", retryable: false };
    const its = offerOf(draft, epoch, { status: "failed", error });
    const own = { ...its, region: "eu-west" };
    expect(await shard.complete([its, own, its])).toEqual(["superseded", "accepted", "superseded"]);
    expect(await status()).toMatchObject({ region: "eu-west", offer: { region: "eu-west" } });
    // It was told once.
    await tell(shard, "back", "us-east");
    expect(submitted()).toHaveLength(1);
  });

  test("is not taken from a region that has it again, by whichever way", async () => {
    const regions = stubRegions();
    const draft = draftOf(newTenant());
    const shard = shardOf(draft);
    await shard.reserve(draft, "us-east");
    regions.down.add("us-east");
    regions.on("POST /internal/jobs", () => {
      throw Object.assign(new Error("timed out"), { name: "TimeoutError" });
    });
    await ring(shard, { views: usEastLost });
    const { region, dispatch } = (await shard.status(draft.id))!;
    expect(region).not.toBe("us-east");
    // Its client repeats the request, and us-east is back and takes it.
    await shard.newDispatch(draft.id, "us-east");
    await shard.accept(draft.id, dispatch + 1);
    regions.down.clear();
    regions.requests.splice(0);
    await tell(shard, "back", "us-east");
    expect(regions.asked("/internal/jobs").some(({ body }) => "fault" in body)).toBe(false);
  });

  test("after a false alarm runs twice, and has one final state whichever run ends first", async () => {
    for (const order of [
      ["us-east", "eu-west"],
      ["eu-west", "us-east"],
    ]) {
      const { draft, shard, status } = await accepted();
      await tell(shard, "lost", "us-east", { views: usEastLost });
      for (const region of order) {
        const dispatch = region === "us-east" ? 1 : 2;
        await shard.complete([offerOf(draft, { dispatch, attempt: 1 }, { region })]);
      }
      expect((await status())!.offer).toMatchObject({ region: "eu-west", epoch: { dispatch: 2 } });
    }
  });

  test("waits where residency leaves no other, says so, and goes on there under its old dispatch", async () => {
    const { regions, draft, shard, submitted, status } = await accepted(
      { residency: "eu" },
      "eu-west",
    );
    regions.down.add("eu-west");
    await tell(shard, "lost", "eu-west", { views: seen({ "eu-west": LOST_AFTER_MS }) });
    expect(submitted()).toEqual([]);
    expect(await status()).toMatchObject({ waiting_for: "region", dispatch: 1, state: "accepted" });

    regions.down.clear();
    await tell(shard, "back", "eu-west");
    expect(submitted()).toEqual([["eu-west", 1]]);
    expect(await status()).not.toHaveProperty("waiting_for");
    const offer = offerOf(draft, { dispatch: 1, attempt: 2 }, { region: "eu-west" });
    expect(await shard.complete([offer])).toEqual(["accepted"]);
  });

  test("waits for its recording where no other region has it, and goes home when home is back", async () => {
    const { regions, draft, shard, submitted, status } = await accepted();
    regions.down.add("us-east");
    regions.on("POST /internal/jobs", ({ region, body }) => {
      if (region !== "us-east") throw new ApiError("upload_not_found");
      return {
        job_id: body["id"],
        dispatch: body["dispatch"],
        duplicate: false,
        queue_position: 0,
      };
    });
    await tell(shard, "lost", "us-east", { views: usEastLost });
    expect(submitted()).toEqual([
      ["eu-west", 2],
      ["ap-south", 3],
    ]);
    expect(await status()).toMatchObject({ state: "accepted", waiting_for: "audio" });

    regions.down.clear();
    await tell(shard, "back", "us-east");
    const now = await status();
    expect(now).toMatchObject({ region: "us-east", state: "accepted" });
    expect(now!.dispatch).toBeGreaterThan(3);
    expect(now).not.toHaveProperty("waiting_for");
    const epoch = { dispatch: now!.dispatch, attempt: 1 };
    expect(await shard.complete([offerOf(draft, epoch)])).toEqual(["accepted"]);
  });

  test("stays where it is while the loss is not declared, however long nobody answers there", async () => {
    const { regions, shard, submitted, status } = await accepted();
    regions.down.add("us-east");
    const views = seen({ "us-east": LOST_AFTER_MS - 1 });
    await tell(shard, "lost", "us-east", { views });
    for (let i = 1; i <= 5; i++) await ring(shard, { afterMs: i * 3_600_000, views });
    expect(submitted()).toEqual([]);
    expect(await status()).toMatchObject({ region: "us-east", dispatch: 1 });
  });

  test("goes on to a third when the second does not take it either", async () => {
    const { regions, shard, submitted, status } = await accepted();
    regions.down.add("us-east");
    regions.down.add("eu-west");
    await tell(shard, "lost", "us-east", { views: usEastLost });
    expect(submitted()).toEqual([["ap-south", 3]]);
    expect(await status()).toMatchObject({ region: "ap-south", dispatch: 3, state: "accepted" });
  });

  test("is one of thousands, which are moved a bounded batch at a time", async () => {
    const { regions, draft, shard } = await accepted();
    const all = [draft];
    // Of the same shard, by their names' hash.
    while (all.length < 130) {
      const next = draftOf(draft.tenant_id);
      if (shardOf(next).id.equals(shard.id)) all.push(next);
    }
    for (const each of all.slice(1)) {
      await shard.reserve(each, "us-east");
      await shard.accept(each.id, 1);
    }
    await hold(shard, { views: usEastLost });
    await shard.regionLost("us-east");
    const moved: number[] = [];
    for (let i = 0; i < 3; i++) {
      await runDurableObjectAlarm(shard);
      moved.push(regions.asked("/internal/jobs").length);
    }
    expect(moved).toEqual([50, 100, 130]);
    const ids = new Set(regions.asked("/internal/jobs").map(({ body }) => body["id"]));
    expect(ids).toEqual(new Set(all.map(({ id }) => id)));
  });
});

describe("a job that is not heard of for long", () => {
  test("is left alone while its region has it", async () => {
    const { regions, shard, submitted, status } = await accepted();
    regions.on("GET /internal/jobs/{id}", () => ({
      status: "running",
      epoch: { dispatch: 1, attempt: 1 },
    }));
    await ring(shard, { afterMs: 16 * 60_000 });
    expect(regions.requests.map(({ path }) => path)).toHaveLength(1);
    expect(submitted()).toEqual([]);
    expect(await status()).toMatchObject({ state: "accepted", dispatch: 1 });
  });

  test("is given to its region again when that has lost it with its disks", async () => {
    const { shard, submitted } = await accepted();
    await ring(shard, { afterMs: 16 * 60_000 });
    expect(submitted()).toEqual([["us-east", 1]]);
  });
});

test("a reservation goes elsewhere under a new dispatch once its region is ejected", async () => {
  const regions = stubRegions();
  regions.down.add("us-east");
  const draft = draftOf(newTenant());
  const shard = shardOf(draft);
  await shard.reserve(draft, "us-east");
  await ring(shard, { views: seen({ "us-east": 1_500 }) });
  expect(await shard.status(draft.id)).toMatchObject({
    state: "accepted",
    region: "eu-west",
    dispatch: 2,
  });
});

test("while its region is away a job's state comes from the ledger alone, without waiting for the region", async () => {
  const { services, regions } = startEdge();
  const draft = draftOf(newTenant());
  const job = { draft, state: "accepted", region: "us-east", dispatch: 1, offer: null } as const;
  regions.refuse("GET /internal/jobs/{id}", "job_not_found");
  const describe = (healthy: boolean) =>
    createDescribeJob(services.config, services.callRegion, { isHealthy: () => healthy }).whole(
      job,
      "https://edge.test",
      { requestId: "req_test", traceparent: "" },
    );
  expect(await describe(false)).toMatchObject({ status: "queued", waiting_for: "region" });
  expect(regions.requests).toEqual([]);
  expect(await describe(true)).not.toHaveProperty("waiting_for");
  expect(regions.requests).toHaveLength(1);
});

describe("the index of shards with open jobs", () => {
  const namespace = () =>
    (env as unknown as { OPEN_SHARDS: DurableObjectNamespace<OpenShards> }).OPEN_SHARDS;

  /** An index of its own, with shards that hold one accepted job each. */
  async function indexOf(count: number) {
    const regions = stubRegions();
    regions.refuse("GET /internal/jobs/{id}", "job_not_found");
    const index = namespace().get(namespace().idFromName(crypto.randomUUID()));
    const config = readEdgeConfig(edgeBindings());
    await runInDurableObject(index, (object) => {
      object.now = () => Date.now() + AHEAD_MS;
      object.config = () => config;
    });
    const drafts = Array.from({ length: count }, () => draftOf(newTenant()));
    for (const draft of drafts) {
      const shard = shardOf(draft);
      await shard.reserve(draft, "us-east");
      await shard.accept(draft.id, 1);
      await hold(shard);
      await index.add("us-east", ledgerShardName(draft.tenant_id, draft.id)!);
    }
    async function look(views: VantageView[]): Promise<void> {
      await runInDurableObject(index, (object) => void (object.look = async () => views));
      await runDurableObjectAlarm(index);
    }
    /** How many of the shards mean to look after their job at once. */
    async function told(): Promise<number> {
      const due = await Promise.all(
        drafts.map((draft) =>
          runInDurableObject(shardOf(draft), (ledger, state) =>
            state.storage.sql
              .exec("SELECT job_id FROM jobs WHERE due_at <= ?", ledger.now())
              .toArray(),
          ),
        ),
      );
      return due.filter(({ length }) => length > 0).length;
    }
    return { index, look, told };
  }

  test("tells nobody before two vantages have seen the region failing for 20 s", async () => {
    const { look, told } = await indexOf(2);
    await look(seen({ "us-east": LOST_AFTER_MS - 1 }));
    await look([seenFrom("us", { "us-east": 60_000 }), seenFrom("eu")]);
    await look([seenFrom("us", { "us-east": 60_000 })]);
    const blind = { "us-east": 60_000, "eu-west": 60_000, "ap-south": 60_000 };
    await look([seenFrom("us", blind), seenFrom("eu", blind)]);
    expect(await told()).toBe(0);
    await look(usEastLost);
    expect(await told()).toBe(2);
  });

  test("tells a bounded batch of shards at a time, and none twice", async () => {
    const { look, told, index } = await indexOf(25);
    await look(usEastLost);
    expect(await told()).toBe(20);
    await look(usEastLost);
    expect(await told()).toBe(25);
    const untold = await runInDurableObject(
      index,
      (_, state) =>
        state.storage.sql.exec("SELECT name FROM shards WHERE told = 0").toArray().length,
    );
    expect(untold).toBe(0);
  });

  test("knows a shard from its first open job until it has none any more", async () => {
    const { draft, shard } = await accepted();
    const index = namespace().get(namespace().idFromName("us-east"));
    const name = ledgerShardName(draft.tenant_id, draft.id)!;
    const known = () =>
      runInDurableObject(index, (_, state) =>
        state.storage.sql.exec("SELECT name FROM shards WHERE name = ?", name).toArray(),
      );
    await expect.poll(known).toHaveLength(1);
    await shard.complete([offerOf(draft, { dispatch: 1, attempt: 1 })]);
    await evictDurableObject(shard);
    await ring(shard, { afterMs: 61_000 });
    expect(await known()).toHaveLength(0);
  });
});

/**
 * Everything between the reservation and the final state that may break: each call to the ledger and to a region, before it had its
 * effect or after. The Worker is gone then; alarms and regions go on alone.
 */
describe("a crash at any step", () => {
  const steps = ["reserve", "submit", "newDispatch", "submit again", "accept"] as const;
  const cases = steps.flatMap((step) => [
    { step, when: "before" as const },
    { step, when: "after" as const },
  ]);

  test.each(cases)(
    "$when $step leaves one job with one final state, or none",
    async ({ step, when }) => {
      const { services, regions } = startEdge();
      /** Highest dispatch that each region holds, as its queue would. */
      const held = new Map<string, number>();
      let submits = 0;
      let broken = false;
      const breaks = (at: string, phase: "before" | "after") => {
        if (broken || at !== step || phase !== when) return;
        broken = true;
        throw new Error("the Worker died");
      };
      const dead = () => broken && crashed;
      let crashed = true;
      regions.on("POST /internal/jobs", ({ region, body }) => {
        const name = submits++ === 0 ? "submit" : "submit again";
        const dispatch = Number(body["dispatch"]);
        // The first region never takes a job in time, so that there is a second dispatch.
        if (name === "submit") {
          breaks(name, "before");
          if (step === "submit") {
            held.set(region, dispatch);
            breaks(name, "after");
          }
          throw new ApiError("system_busy");
        }
        if (!dead()) breaks(name, "before");
        held.set(region, Math.max(held.get(region) ?? 0, dispatch));
        if (!dead()) breaks(name, "after");
        return { job_id: body["id"], dispatch, duplicate: false, queue_position: 0 };
      });
      regions.refuse("GET /internal/jobs/{id}", "job_not_found");

      const wrapped = new Proxy(services.ledger, {
        get:
          (target, name: keyof LedgerClient) =>
          async (...args: unknown[]) => {
            if (dead()) throw new Error("the Worker is dead");
            breaks(name, "before");
            const value = await (target[name] as (...all: unknown[]) => Promise<unknown>)(...args);
            breaks(name, "after");
            return value;
          },
      });
      const callRegion: typeof services.callRegion = async (region, call) => {
        if (dead()) throw new Error("the Worker is dead");
        const outcome = await services.callRegion(region, call);
        if (dead()) throw new Error("the Worker died");
        return outcome;
      };
      const dispatch = createDispatchJob(wrapped, callRegion, createRetryBudget());
      const draft = draftOf(newTenant());
      const candidates = ["us-east", "eu-west"].map((id) => findRegion(id)!);
      const trace = { requestId: "req_test", traceparent: "" };
      await expect(dispatch(draft, candidates, trace)).rejects.toThrow();
      expect(broken).toBe(true);
      crashed = false;

      const shard = shardOf(draft);
      // Evicting needs an object that has run.
      await shard.status(draft.id);
      await evictDurableObject(shard);
      for (let i = 1; i <= 3; i++) await ring(shard, { afterMs: i * 31_000 });
      const verdicts: string[] = [];
      for (let i = 0; i < 2; i++) {
        for (const [region, held_dispatch] of held) {
          const offer = offerOf(draft, { dispatch: held_dispatch, attempt: 1 }, { region });
          verdicts.push(`${region} ${(await shard.complete([offer]))[0]!}`);
        }
      }
      const job = await shard.status(draft.id);
      if (step === "reserve" && when === "before") expect(job).toBeNull();
      else {
        expect(job).toMatchObject({ state: "final" });
        const winners = new Set(verdicts.filter((verdict) => verdict.endsWith("accepted")));
        expect([...winners]).toEqual([`${job!.offer!.region} accepted`]);
      }
    },
  );
});

test("one tenant's jobs of one region spread over its shards, each of which takes its share", async () => {
  const regions = stubRegions();
  const tenant = newTenant();
  const drafts = Array.from({ length: 160 }, () => draftOf(tenant));
  const shards = new Map<string, number>();
  await Promise.all(
    drafts.map(async (draft) => {
      const shard = shardOf(draft);
      await shard.reserve(draft, "us-east");
      shards.set(shard.id.toString(), (shards.get(shard.id.toString()) ?? 0) + 1);
    }),
  );
  expect(regions.requests).toEqual([]);
  expect(shards.size).toBe(8);
  // Far from even would be a bottleneck: 20 each on average.
  expect(Math.max(...shards.values())).toBeLessThan(45);
});

import { runDurableObjectAlarm, runInDurableObject, evictDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { readEdgeConfig } from "../../edge/env.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { edgeBindings } from "./support/bindings.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { newTenant } from "./support/start-edge.ts";
import { stubRegions } from "./support/stub-regions.ts";

const first = { dispatch: 1, attempt: 1 };

function reservation(region = "us-east") {
  const draft = draftOf(newTenant());
  const shard = shardOf(draft);
  return { draft, shard, reserve: () => shard.reserve(draft, region) };
}

/** Rings the shard's alarm as if `ms` had passed. */
async function ringAfter(shard: ReturnType<typeof shardOf>, ms: number): Promise<void> {
  const config = readEdgeConfig(edgeBindings());
  await runInDurableObject(shard, (ledger) => {
    ledger.now = () => Date.now() + ms;
    ledger.config = () => config;
  });
  expect(await runDurableObjectAlarm(shard)).toBe(true);
}

describe("a job's way", () => {
  test("a reservation gets dispatch 1, and reserving it again changes nothing", async () => {
    const { reserve } = reservation();
    expect(await reserve()).toMatchObject({ state: "reserved", dispatch: 1, region: "us-east" });
    expect(await reserve()).toMatchObject({ state: "reserved", dispatch: 1 });
  });

  test("an accepted job stays accepted when it is reserved again or refused late", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    await shard.accept(draft.id, 1);
    expect(await shard.refuse(draft.id, 1)).toBe(false);
    expect(await reserve()).toMatchObject({ state: "accepted", dispatch: 1 });
  });

  test("an acceptance of an older dispatch does not count", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    expect(await shard.newDispatch(draft.id, "eu-west")).toMatchObject({
      dispatch: 2,
      region: "eu-west",
    });
    expect(await shard.accept(draft.id, 1)).toMatchObject({ state: "reserved", dispatch: 2 });
    expect(await shard.refuse(draft.id, 1)).toBe(false);
    expect(await shard.accept(draft.id, 2)).toMatchObject({ state: "accepted" });
  });

  test("only a reservation can be given to another region", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    await shard.accept(draft.id, 1);
    expect(await shard.newDispatch(draft.id, "eu-west")).toMatchObject({
      state: "accepted",
      dispatch: 1,
      region: "us-east",
    });
  });

  test("a removed reservation is gone, and comes back only under a higher dispatch", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    expect(await shard.refuse(draft.id, 1)).toBe(true);
    expect(await shard.status(draft.id)).toBeNull();
    expect(await shard.complete([offerOf(draft, first)])).toEqual(["unknown"]);
    expect(await reserve()).toMatchObject({ state: "reserved", dispatch: 2 });
    expect(await shard.complete([offerOf(draft, first)])).toEqual(["superseded"]);
  });

  test("what is known survives the loss of the object's memory", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    await shard.accept(draft.id, 1);
    await evictDurableObject(shard);
    expect(await shard.complete([offerOf(draft, first)])).toEqual(["accepted"]);
    await evictDurableObject(shard);
    expect(await shard.status(draft.id)).toMatchObject({ state: "final" });
  });
});

describe("the final state", () => {
  test("the first offer is final; the same one again is accepted, any other superseded", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    await shard.accept(draft.id, 1);
    const offer = offerOf(draft, { dispatch: 1, attempt: 2 });
    expect(await shard.complete([offer])).toEqual(["accepted"]);
    expect(await shard.complete([offer])).toEqual(["accepted"]);
    expect(
      await shard.complete([
        offerOf(draft, { dispatch: 1, attempt: 1 }),
        offerOf(draft, { dispatch: 1, attempt: 3 }),
        offerOf(draft, { dispatch: 1, attempt: 2 }, { status: "failed" }),
      ]),
    ).toEqual(["superseded", "superseded", "superseded"]);
    expect(await shard.status(draft.id)).toMatchObject({
      state: "final",
      offer: { status: "succeeded" },
    });
  });

  test("of two runs that end at once, exactly one is accepted", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    await shard.accept(draft.id, 1);
    const verdicts = await Promise.all(
      [1, 2, 3, 4].map((attempt) => shard.complete([offerOf(draft, { dispatch: 1, attempt })])),
    );
    expect(verdicts.flat().toSorted()).toEqual([
      "accepted",
      "superseded",
      "superseded",
      "superseded",
    ]);
  });

  test("a run of a revoked dispatch is superseded, also before the new one has ended", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    await shard.newDispatch(draft.id, "eu-west");
    expect(await shard.complete([offerOf(draft, first)])).toEqual(["superseded"]);
    const second = offerOf(draft, { dispatch: 2, attempt: 1 }, { region: "eu-west" });
    expect(await shard.complete([second])).toEqual(["accepted"]);
    expect(await shard.complete([offerOf(draft, first)])).toEqual(["superseded"]);
  });

  test("a dispatch can only be ended by the region that has it", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    const elsewhere = offerOf(draft, first, { region: "eu-west" });
    expect(await shard.complete([elsewhere])).toEqual(["superseded"]);
  });

  test("a run that ends before its acceptance is written counts, and the acceptance then does not", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    expect(await shard.complete([offerOf(draft, first)])).toEqual(["accepted"]);
    expect(await shard.accept(draft.id, 1)).toMatchObject({ state: "final" });
    expect(await shard.refuse(draft.id, 1)).toBe(false);
    expect(await shard.newDispatch(draft.id, "eu-west")).toMatchObject({
      state: "final",
      dispatch: 1,
    });
  });

  test("an offer for a job that was never reserved is unknown", async () => {
    const { draft, shard } = reservation();
    expect(await shard.complete([offerOf(draft, first)])).toEqual(["unknown"]);
  });
});

describe("waiting", () => {
  test("a waiter wakes when the job becomes final", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    const waiting = shard.wait(draft.id, 60_000);
    await shard.complete([offerOf(draft, first)]);
    expect(await waiting).toMatchObject({ state: "final" });
  });

  test("a waiter is not woken by a superseded offer, and gets the job as it is when its time is over", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    const waiting = shard.wait(draft.id, 100);
    await shard.complete([offerOf(draft, { dispatch: 7, attempt: 1 })]);
    expect(await waiting).toMatchObject({ state: "reserved" });
  });

  test("nobody waits for a job that does not exist", async () => {
    const { draft, shard } = reservation();
    expect(await shard.wait(draft.id, 60_000)).toBeNull();
  });
});

describe("the alarm", () => {
  test("submits an unresolved reservation again, under the same dispatch, and marks it accepted", async () => {
    const regions = stubRegions();
    const { draft, shard, reserve } = reservation();
    await reserve();
    await ringAfter(shard, 31_000);
    expect(regions.asked("/internal/jobs").map(({ region, body }) => [region, body])).toEqual([
      ["us-east", { ...draft, dispatch: 1 }],
    ]);
    expect(await shard.status(draft.id)).toMatchObject({ state: "accepted", dispatch: 1 });
  });

  test("leaves alone what is not due yet", async () => {
    const regions = stubRegions();
    const { shard, reserve } = reservation();
    await reserve();
    await ringAfter(shard, 0);
    expect(regions.requests).toEqual([]);
  });

  test("removes a reservation that the region refuses", async () => {
    const regions = stubRegions();
    regions.refuse("POST /internal/jobs", "upload_not_found");
    const { draft, shard, reserve } = reservation();
    await reserve();
    await ringAfter(shard, 31_000);
    expect(await shard.status(draft.id)).toBeNull();
  });

  test("keeps trying, ever more slowly, while the region is away", async () => {
    const regions = stubRegions();
    regions.down.add("us-east");
    const { draft, shard, reserve } = reservation();
    await reserve();
    await ringAfter(shard, 31_000);
    expect(await shard.status(draft.id)).toMatchObject({ state: "reserved", dispatch: 1 });
    const next = await runInDurableObject(shard, (_, state) => state.storage.getAlarm());
    expect(next! - Date.now()).toBeGreaterThan(50_000);

    regions.down.clear();
    await ringAfter(shard, 62_000);
    expect(await shard.status(draft.id)).toMatchObject({ state: "accepted" });
  });

  test("does not bring a job back that ended while it was being submitted again", async () => {
    const regions = stubRegions();
    const { draft, shard, reserve } = reservation();
    await reserve();
    regions.on("POST /internal/jobs", async () => {
      // A stub of its own: this runs on behalf of the alarm.
      await shardOf(draft).complete([offerOf(draft, first)]);
      throw new ApiError("audio_empty");
    });
    await ringAfter(shard, 31_000);
    expect(await shard.status(draft.id)).toMatchObject({ state: "final" });
  });

  test("takes at most 50 reservations at a time, and comes again for the rest", async () => {
    const regions = stubRegions();
    const { draft, shard } = reservation();
    const drafts = Array.from({ length: 60 }, () => ({
      ...draft,
      id: draftOf(draft.tenant_id).id,
    }));
    for (const each of drafts) await shard.reserve(each, "us-east");
    await ringAfter(shard, 31_000);
    expect(regions.asked("/internal/jobs")).toHaveLength(50);
    await ringAfter(shard, 31_000);
    expect(regions.asked("/internal/jobs")).toHaveLength(60);
  });

  test("gives up a reservation after a day: its client never got a promise", async () => {
    const regions = stubRegions();
    const { draft, shard, reserve } = reservation();
    await reserve();
    await ringAfter(shard, 24 * 3_600_000 + 1_000);
    expect(regions.requests).toEqual([]);
    expect(await shard.status(draft.id)).toBeNull();
  });

  test("forgets a final job after 30 days, and not before", async () => {
    const { draft, shard, reserve } = reservation();
    await reserve();
    await shard.complete([offerOf(draft, first)]);
    await ringAfter(shard, 29 * 24 * 3_600_000);
    expect(await shard.status(draft.id)).toMatchObject({ state: "final" });
    await ringAfter(shard, 31 * 24 * 3_600_000);
    expect(await shard.status(draft.id)).toBeNull();
  });
});

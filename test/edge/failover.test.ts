import { runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { createDescribeJob } from "../../edge/deliver/describe-job.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { LOST_AFTER_MS } from "../../shared/policies/region-verdict.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { accepted, hold, ring, seen, tell, usEastLost } from "./support/failover.ts";
import { newTenant, startEdge } from "./support/start-edge.ts";
import { stubRegions } from "./support/stub-regions.ts";

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

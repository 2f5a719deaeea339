import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { readEdgeConfig } from "../../edge/env.ts";
import { Job } from "../../shared/contracts/api.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { edgeBindings } from "./support/bindings.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

const CANCEL = "POST /internal/jobs/cancel";
const first = { dispatch: 1, attempt: 1 };

async function ready() {
  const edge = startEdge();
  const tenant = newTenant();
  const key = await edge.regions.addKey({ tenant_id: tenant });
  const draft = draftOf(tenant);
  const shard = shardOf(draft);
  await shard.reserve(draft, "us-east");
  await shard.accept(draft.id, 1);
  const path = `/v1/jobs/${draft.id}/cancel`;
  const cancel = (by = key) => edge.call(path, { key: by, method: "POST" });
  const canceledOffer = (epoch = first) => offerOf(draft, epoch, { status: "canceled" });
  const told = () => edge.regions.asked("/internal/jobs/cancel");
  /** Rings the ledger's alarm as if `ms` had passed. */
  async function ringAfter(ms: number): Promise<void> {
    const config = readEdgeConfig(edgeBindings());
    await runInDurableObject(shard, (ledger) => {
      ledger.now = () => Date.now() + ms;
      ledger.config = () => config;
    });
    await runDurableObjectAlarm(shard);
  }
  return { ...edge, tenant, key, draft, shard, cancel, canceledOffer, told, ringAfter };
}

describe("a job whose region answers", () => {
  test("is canceled by its region, and ends through the ledger", async () => {
    const { regions, draft, shard, cancel, canceledOffer, tenant } = await ready();
    regions.on(CANCEL, async ({ body }) => {
      expect(body).toEqual({ job_id: draft.id, tenant_id: tenant });
      await shard.complete([canceledOffer()]);
      return { job_id: draft.id, outcome: "canceled" };
    });
    const response = await cancel();
    expect(response.status).toBe(200);
    expect(Job.parse(await response.json())).toMatchObject({
      id: draft.id,
      status: "canceled",
      attempt: 1,
    });
  });

  test("and that is canceled again answers the same, without asking the region again", async () => {
    const { regions, shard, cancel, canceledOffer, told } = await ready();
    await shard.complete([canceledOffer()]);
    regions.refuse(CANCEL, "internal");
    const response = await cancel();
    expect([response.status, Job.parse(await response.json()).status]).toEqual([200, "canceled"]);
    expect(told()).toEqual([]);
  });

  test("but whose worker has not stopped yet is still running, and about to be canceled", async () => {
    const { regions, draft, cancel } = await ready();
    regions.on(CANCEL, () => ({ job_id: draft.id, outcome: "canceling" }));
    regions.on("GET /internal/jobs/{id}", () => ({ status: "running", epoch: first }));
    const response = await cancel();
    expect([response.status, Job.parse(await response.json()).status]).toEqual([202, "running"]);
  });

  test("and that has ended cannot be canceled any more, also when its end comes in between", async () => {
    const { regions, draft, shard, cancel } = await ready();
    regions.on(CANCEL, async () => {
      await shard.complete([offerOf(draft, first, { status: "failed" })]);
      return { job_id: draft.id, outcome: "too_late" };
    });
    expect(await codeOf(await cancel())).toBe("cancel_too_late");
    const again = await cancel();
    expect([again.status, await codeOf(again)]).toEqual([409, "cancel_too_late"]);
  });

  test("and that moves to another region meanwhile is canceled there", async () => {
    const { regions, call, key, tenant } = await ready();
    const draft = draftOf(tenant);
    const shard = shardOf(draft);
    await shard.reserve(draft, "us-east");
    const asked: string[] = [];
    regions.on(CANCEL, async ({ region }) => {
      asked.push(region);
      if (region === "us-east") await shard.newDispatch(draft.id, "eu-west");
      else {
        const epoch = { dispatch: 2, attempt: 1 };
        await shard.complete([offerOf(draft, epoch, { region, status: "canceled" })]);
      }
      return { job_id: draft.id, outcome: "canceled" };
    });
    const path = `/v1/jobs/${draft.id}/cancel`;
    expect((await call(path, { key, method: "POST" })).status).toBe(200);
    expect(asked).toEqual(["us-east", "eu-west"]);
  });
});

describe("a job whose region is away", () => {
  test("is canceled at once, and whatever the region makes of it later ends as canceled too", async () => {
    const { regions, draft, shard, cancel } = await ready();
    regions.down.add("us-east");
    const response = await cancel();
    expect(response.status).toBe(200);
    expect(Job.parse(await response.json())).toMatchObject({ status: "canceled", attempt: 0 });
    const failed = offerOf(draft, { dispatch: 1, attempt: 2 }, { status: "failed" });
    // The answer may get lost, and the offer come again.
    for (const offer of [offerOf(draft, first), offerOf(draft, first), failed]) {
      expect(await shard.complete([offer])).toEqual(["canceled"]);
    }
    const elsewhere = offerOf(draft, first, { region: "eu-west" });
    expect(await shard.complete([elsewhere])).toEqual(["superseded"]);
    expect((await shard.status(draft.id))!.offer).toMatchObject({ status: "canceled" });
  });

  test("is canceled there once it is back, and its word of that is the one that counts", async () => {
    const { regions, draft, shard, cancel, canceledOffer, told, ringAfter } = await ready();
    regions.down.add("us-east");
    await cancel();
    await ringAfter(6_000);
    expect(told()).toEqual([]);
    regions.down.clear();
    regions.on(CANCEL, () => ({ job_id: draft.id, outcome: "canceled" }));
    await ringAfter(60_000);
    expect(told()).toHaveLength(1);
    await ringAfter(600_000);
    expect(told()).toHaveLength(1);
    // By its own offer, which is accepted, the region writes the job into the database.
    expect(await shard.complete([canceledOffer()])).toEqual(["accepted"]);
    expect((await shard.status(draft.id))!.offer!.epoch).toEqual(first);
    expect(await shard.complete([canceledOffer({ dispatch: 1, attempt: 2 })])).toEqual([
      "superseded",
    ]);
  });

  test("is remembered as canceled for as long as any other job that has ended", async () => {
    const { regions, draft, shard, cancel, ringAfter } = await ready();
    regions.refuse(CANCEL, "job_not_found");
    await cancel();
    const day = 24 * 3_600_000;
    await ringAfter(29 * day);
    expect(await shard.status(draft.id)).toMatchObject({ state: "final" });
    await ringAfter(61 * day);
    expect(await shard.status(draft.id)).toBeNull();
  });
});

test("a job that its region does not have is canceled by the ledger alone", async () => {
  const { regions, cancel } = await ready();
  regions.on(CANCEL, () => {
    throw new ApiError("job_not_found");
  });
  const response = await cancel();
  expect([response.status, Job.parse(await response.json()).status]).toEqual([200, "canceled"]);
});

test("another tenant's job is no job, and goes on", async () => {
  const { regions, draft, shard, cancel, call, key, told } = await ready();
  const other = await regions.addKey({ tenant_id: newTenant() });
  const response = await cancel(other);
  expect([response.status, await codeOf(response)]).toEqual([404, "job_not_found"]);
  expect(await codeOf(await call("/v1/jobs/job_1/cancel", { key, method: "POST" }))).toBe(
    "job_not_found",
  );
  expect(told()).toEqual([]);
  expect(await shard.status(draft.id)).toMatchObject({ state: "accepted" });
});

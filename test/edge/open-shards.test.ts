import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { readEdgeConfig } from "../../edge/env.ts";
import type { OpenShards } from "../../edge/ledger/open-shards.ts";
import { ledgerShardName } from "../../shared/policies/ledger-shard.ts";
import { LOST_AFTER_MS, type VantageView } from "../../shared/policies/region-verdict.ts";
import { edgeBindings } from "./support/bindings.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { accepted, hold, ring, seen, seenFrom, usEastLost } from "./support/failover.ts";
import { newTenant } from "./support/start-edge.ts";
import { stubRegions } from "./support/stub-regions.ts";
import { AHEAD_MS } from "./support/time.ts";

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

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { readEdgeConfig } from "../../../edge/env.ts";
import {
  LOST_AFTER_MS,
  type RegionProbe,
  type VantageView,
} from "../../../shared/policies/region-verdict.ts";
import { edgeBindings, REGION_IDS } from "./bindings.ts";
import { draftOf, shardOf } from "./jobs.ts";
import { newTenant } from "./start-edge.ts";
import { stubRegions } from "./stub-regions.ts";
import { AHEAD_MS } from "./time.ts";

/** Two vantages that see all regions, those named failing for so many milliseconds. */
export function seen(failing: Partial<Record<string, number>> = {}): VantageView[] {
  return ["us", "eu"].map((vantage) => seenFrom(vantage, failing));
}

export function seenFrom(
  vantage: string,
  failing: Partial<Record<string, number>> = {},
): VantageView {
  const regions = REGION_IDS.map((region): RegionProbe => {
    const failingForMs = failing[region] ?? null;
    return {
      region,
      failures: failingForMs === null ? 0 : 3,
      failingForMs,
      backForMs: null,
      latencyMs: 20,
      usualMs: 20,
    };
  });
  return { vantage, ageMs: 0, regions };
}

interface Then {
  afterMs?: number;
  views?: VantageView[];
}

/** Has a shard live `afterMs` from now, and believe that the probes see this. */
export async function hold(
  shard: ReturnType<typeof shardOf>,
  { afterMs = AHEAD_MS, views = seen() }: Then = {},
): Promise<void> {
  const config = readEdgeConfig(edgeBindings());
  await runInDurableObject(shard, (ledger) => {
    ledger.now = () => Date.now() + afterMs;
    ledger.config = () => config;
    ledger.look = async () => views;
  });
}

/** Rings the shard's alarm as if `afterMs` had passed. */
export async function ring(shard: ReturnType<typeof shardOf>, then: Then = {}): Promise<void> {
  await hold(shard, { afterMs: 31_000, ...then });
  await runDurableObjectAlarm(shard);
}

/** A region is declared lost, or is back, as the index of open shards tells it. */
export async function tell(
  shard: ReturnType<typeof shardOf>,
  news: "lost" | "back",
  region: string,
  then: Then = {},
): Promise<void> {
  await hold(shard, then);
  await (news === "lost" ? shard.regionLost(region) : shard.regionBack(region));
  await runDurableObjectAlarm(shard);
}

export const usEastLost = seen({ "us-east": LOST_AFTER_MS });

/** An accepted job of us-east, whose region then goes away. */
export async function accepted(
  more: Partial<ReturnType<typeof draftOf>> = {},
  regionId = "us-east",
) {
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

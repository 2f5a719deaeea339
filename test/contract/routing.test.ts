import fc from "fast-check";
import { expect, test } from "vitest";
import type { Region } from "../../shared/contracts/regions.ts";
import { isPermitted, Residency, roundTripMs, regions } from "../../shared/contracts/regions.ts";
import { LEDGER_BUCKETS, ledgerShardName } from "../../shared/policies/ledger-shard.ts";
import {
  costMs,
  distanceKm,
  rankRegions,
  shareOf,
  UNKNOWN_REGION,
  type RegionView,
} from "../../shared/policies/route.ts";
import { mintJobId } from "../../shared/contracts/ids.ts";

const residency = fc.constantFrom(...Residency.options);
const place = fc.record({
  lat: fc.double({ min: -90, max: 90, noNaN: true }),
  lon: fc.double({ min: -180, max: 180, noNaN: true }),
});
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const seconds = fc.oneof(fc.double({ min: 0, max: 600, noNaN: true }), fc.constant(Infinity));
const view: fc.Arbitrary<RegionView> = fc.record({
  healthy: fc.boolean(),
  slow: fc.boolean(),
  latencyMs: orNull(fc.double({ min: 0, max: 5_000, noNaN: true })),
  expectedWaitS: orNull(seconds),
  backForMs: orNull(fc.double({ min: 0, max: 60_000, noNaN: true })),
});
const anything = fc.record({
  residency,
  client: place,
  views: fc.tuple(...regions.map(() => view)),
  preferred: fc.option(fc.constantFrom(...regions.map((region) => region.id)), { nil: undefined }),
  draw: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});
type Anything = typeof anything extends fc.Arbitrary<infer T> ? T : never;
const viewOf = ({ views }: Anything, id: string) =>
  views[regions.findIndex((region) => region.id === id)]!;
const rank = (input: Anything, order: readonly Region[] = regions) =>
  rankRegions({ ...input, regions: order, view: (id) => viewOf(input, id) });

test("a request never goes to a region that residency forbids or that is away, and to every other one", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const expected = regions.filter(
        (r) => isPermitted(input.residency, r) && viewOf(input, r.id).healthy,
      );
      const ranked = rank(input);
      expect(new Set(ranked)).toEqual(new Set(expected));
      expect(ranked).toHaveLength(expected.length);
    }),
  );
});

test("the best of the healthy comes first: what was asked for, else the cheapest that is not slow and has its share", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const ranked = rank(input);
      const [first, ...rest] = ranked;
      if (!first) return;
      if (ranked.some(({ id }) => id === input.preferred)) {
        expect(first.id).toBe(input.preferred);
        return;
      }
      const cost = (region: Region) =>
        costMs(viewOf(input, region.id), distanceKm(input.client, region));
      const isFull = ({ id }: Region) =>
        !viewOf(input, id).slow && input.draw < shareOf(viewOf(input, id));
      if (ranked.some(isFull)) expect(isFull(first)).toBe(true);
      for (const other of rest) {
        if (isFull(other) === isFull(first)) expect(cost(first)).toBeLessThanOrEqual(cost(other));
      }
    }),
  );
});

test("the order is a total one: of any two regions the same goes first, whichever others there are", () => {
  fc.assert(
    fc.property(anything, fc.subarray([...regions]), (input, some) => {
      const ranked = rank(input);
      expect(rank(input, some)).toEqual(ranked.filter((region) => some.includes(region)));
    }),
  );
});

test("a region that came back gets a share that grows until it gets all", () => {
  const share = (backForMs: number | null) => {
    const view = (id: string) => ({
      ...UNKNOWN_REGION,
      ...(id === "eu-west" ? { backForMs } : {}),
    });
    const client = { lat: 53.3, lon: -6.3 };
    const draws = Array.from({ length: 100 }, (_, i) => i / 100);
    const firsts = draws.map(
      (draw) => rankRegions({ regions, residency: "global", client, view, draw })[0]!.id,
    );
    return firsts.filter((id) => id === "eu-west").length;
  };
  expect([share(0), share(15_000), share(30_000), share(null)]).toEqual([10, 50, 100, 100]);
});

test("a long wait nearby sends a request farther, and a short one does not", () => {
  const first = (expectedWaitS: number) =>
    rankRegions({
      regions,
      residency: "global",
      client: { lat: 53.3, lon: -6.3 },
      view: (id) => ({ ...UNKNOWN_REGION, expectedWaitS: id === "eu-west" ? expectedWaitS : 0 }),
      draw: 0,
    })[0]!.id;
  expect([first(0.9), first(5), first(Infinity)]).toEqual(["eu-west", "us-east", "us-east"]);
});

test.each([
  ["London", 51.5, -0.1, "eu-west"],
  ["Chicago", 41.9, -87.6, "us-east"],
  ["Singapore", 1.35, 103.8, "ap-south"],
])("a client in %s is served nearby", (_, lat, lon, expected) => {
  expect(
    rankRegions({
      regions,
      residency: "global",
      client: { lat, lon },
      view: () => UNKNOWN_REGION,
      draw: 0,
    })[0]?.id,
  ).toBe(expected);
});

test("every pair of regions has a round-trip time, the same both ways, and codes are unique", () => {
  for (const a of regions)
    for (const b of regions) expect(roundTripMs(a, b)).toBe(roundTripMs(b, a));
  expect(new Set(regions.map((region: Region) => region.code)).size).toBe(regions.length);
});

test("a tenant's jobs spread over all ledger shards of a region, and a foreign id has none", () => {
  const shards = new Set<string | undefined>();
  for (let i = 0; i < 400; i++) shards.add(ledgerShardName("ten_a", mintJobId(regions[0]!)));
  expect(shards.size).toBe(LEDGER_BUCKETS);
  expect(ledgerShardName("ten_a", "job_zzz_nope")).toBeUndefined();
});

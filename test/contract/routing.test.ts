import fc from "fast-check";
import { expect, test } from "vitest";
import type { Region } from "../../shared/contracts/regions.ts";
import { isPermitted, Residency, roundTripMs, regions } from "../../shared/contracts/regions.ts";
import { LEDGER_BUCKETS, ledgerShardName } from "../../shared/policies/ledger-shard.ts";
import { distanceKm, routeCandidates } from "../../shared/policies/route.ts";
import { mintJobId } from "../../shared/contracts/ids.ts";

const residency = fc.constantFrom(...Residency.options);
const place = fc.record({
  lat: fc.double({ min: -90, max: 90, noNaN: true }),
  lon: fc.double({ min: -180, max: 180, noNaN: true }),
});
const anything = fc.record({
  residency,
  client: place,
  away: fc.subarray(regions.map((region) => region.id)),
  preferred: fc.option(fc.constantFrom(...regions.map((region) => region.id)), { nil: undefined }),
});
const route = (input: {
  residency: Residency;
  client: { lat: number; lon: number };
  away: string[];
  preferred: string | undefined;
}) => routeCandidates({ ...input, regions, isHealthy: (id) => !input.away.includes(id) });

test("a request never goes to a region that residency forbids or that is away, and to every other one", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const expected = regions.filter(
        (r) => isPermitted(input.residency, r) && !input.away.includes(r.id),
      );
      expect(new Set(route(input))).toEqual(new Set(expected));
    }),
  );
});

test("the nearest comes first, unless another permitted region was asked for", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const [first, ...rest] = route(input);
      if (!first) return;
      const asked = [first, ...rest].some((region) => region.id === input.preferred);
      if (asked) expect(first.id).toBe(input.preferred);
      else
        for (const other of rest) {
          expect(distanceKm(input.client, first)).toBeLessThanOrEqual(
            distanceKm(input.client, other),
          );
        }
    }),
  );
});

test.each([
  ["London", 51.5, -0.1, "eu-west"],
  ["Chicago", 41.9, -87.6, "us-east"],
  ["Singapore", 1.35, 103.8, "ap-south"],
])("a client in %s is served nearby", (_, lat, lon, expected) => {
  expect(
    route({ residency: "global", client: { lat, lon }, away: [], preferred: undefined })[0]?.id,
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

import { isPermitted, type Region, Residency } from "../../shared/contracts/regions.ts";

const KINDS = ["uploads", "audio", "results"];

/**
 * The replication rules of a region's bucket, as terraform sets them up on S3: by the prefixes of
 * shared/contracts/object-keys.ts, to every other region where content under that residency may live.
 * Regions are named as AWS names them.
 */
export function replicationOf(region: Region, regions: readonly Region[]) {
  return Residency.options.flatMap((residency) => {
    const others = regions.filter(({ id }) => id !== region.id);
    const destinations = others
      .filter((other) => isPermitted(residency, other))
      .map(({ aws }) => aws);
    // What may not be here at all does not leave from here either.
    if (destinations.length === 0 || !isPermitted(residency, region)) return [];
    return KINDS.map((kind) => ({ prefix: `${kind}/${residency}/`, destinations, deletes: true }));
  });
}

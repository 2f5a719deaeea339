import { z } from "zod";
import regionsJson from "../regions.json" with { type: "json" };

/** Where content may live. A jurisdiction names the law; several regions may share one. */
export const Jurisdiction = z.enum(["us", "eu", "in"]);
export type Jurisdiction = z.infer<typeof Jurisdiction>;

/** A tenant's residency policy: `global`, or bound to one jurisdiction. */
export const Residency = z.enum(["global", ...Jurisdiction.options]).meta({ id: "Residency" });
export type Residency = z.infer<typeof Residency>;

/** One entry of shared/regions.json; round-trip times in milliseconds, coordinates in degrees. */
export const Region = z.strictObject({
  id: z.string().regex(/^[a-z]{2,4}-[a-z]+$/),
  name: z.string(),
  aws: z.string(),
  code: z.string().regex(/^[a-z]{3}$/),
  lat: z.number().min(-90).max(90),
  lon: z.number().min(-180).max(180),
  jurisdiction: Jurisdiction,
  edge_rtt_ms: z.number().positive(),
  rtt_ms: z.record(z.string(), z.number().positive()),
});
export type Region = z.infer<typeof Region>;

/** Every region there is, in the order of regions.json. The first is the primary's home at first boot. */
export const regions: readonly Region[] = z.array(Region).min(1).parse(regionsJson);

export function findRegion(id: string): Region | undefined {
  return regions.find((region) => region.id === id);
}

export function findRegionByCode(code: string): Region | undefined {
  return regions.find((region) => region.code === code);
}

/** Whether content under `residency` may live in, or be computed in, `region`. */
export function isPermitted(residency: Residency, region: Region): boolean {
  return residency === "global" || residency === region.jurisdiction;
}

/** Round-trip time in milliseconds between two regions; 0 to itself. */
export function roundTripMs(from: Region, to: Region): number {
  if (from.id === to.id) return 0;
  const rtt = from.rtt_ms[to.id] ?? to.rtt_ms[from.id];
  if (rtt === undefined) throw new Error(`regions.json has no rtt between ${from.id} and ${to.id}`);
  return rtt;
}

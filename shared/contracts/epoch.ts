import { z } from "zod";

/**
 * The fencing number of a run. `dispatch`: the ledger's n-th assignment of the job to a region, from 1.
 * `attempt`: the region's n-th run within that dispatch, from 1 (0: not yet claimed).
 */
export const Epoch = z
  .strictObject({ dispatch: z.int().min(1), attempt: z.int().min(0) })
  .meta({ id: "Epoch" });
export type Epoch = z.infer<typeof Epoch>;

/** Negative when `a` is older than `b`: dispatch first, then attempt. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  return a.dispatch - b.dispatch || a.attempt - b.attempt;
}

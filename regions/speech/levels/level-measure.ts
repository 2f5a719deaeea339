import { z } from "zod";

/**
 * Level of a recording, measured on its original samples before any mixing or resampling.
 * dBFS is relative to full scale 1.0 (a full-scale sine has an RMS of -3.01 dBFS);
 * digital silence has none, so both levels are null for it.
 */
export const LevelMeasure = z.strictObject({
  rms_dbfs: z.number().nullable(),
  peak_dbfs: z.number().nullable(),
  /** The peak lies below -60 dBFS: nothing that a listener would call sound. */
  silent: z.boolean(),
  clipping: z.strictObject({
    clipped_samples: z.int().min(0),
    clipped_ratio: z.number().min(0).max(1),
    /** Longest run of clipped samples within one channel. */
    longest_run: z.int().min(0),
  }),
  /** Mean of the channel whose mean lies farthest from zero, full scale 1.0. */
  dc_offset: z.number(),
});
export type LevelMeasure = z.infer<typeof LevelMeasure>;

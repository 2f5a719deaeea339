import { z } from "zod";

/** How long a report counts when its sender says nothing else. Sent three times as often, so that two may be lost. */
export const LOAD_REPORT_TTL_MS = 3000;

/**
 * What a worker says of itself: enough to foresee when it has room again. Compute-seconds are seconds of one slot of a worker
 * of speed 1; a slot of speed 2.5 does 2.5 of them in a second.
 */
export const WorkerLoad = z.strictObject({
  v: z.literal(1),
  worker_id: z.string().min(1).max(128),
  /** Jobs it may run at once. */
  capacity: z.int().min(1),
  active_jobs: z.int().min(0),
  /** Estimated compute-seconds still ahead in the jobs it has claimed. */
  queued_compute_seconds: z.number().min(0),
  /** Compute-seconds that one slot does in a second while all are in use. */
  speed: z.number().positive(),
  /** True once it takes no more jobs: it has no room, whatever the rest says. */
  draining: z.boolean(),
  /** Unix milliseconds of the region's clock (Redis), not the worker's own. */
  reported_at_ms: z.int().min(0),
  ttl_ms: z.int().min(1).default(LOAD_REPORT_TTL_MS),
});
export type WorkerLoad = z.infer<typeof WorkerLoad>;

const WaitS = z.number().min(0).nullable();

/** `GET region /internal/load`: the same of a whole region, for the edge and the other regions. */
export const RegionLoad = z.strictObject({
  v: z.literal(1),
  region: z.string(),
  /** Workers that take jobs; those that drain or fell silent are not among them. */
  workers: z.int().min(0),
  /** Jobs that they may run at once. */
  capacity: z.int().min(0),
  active_jobs: z.int().min(0),
  /** Estimated compute-seconds still ahead in what runs. */
  active_compute_s: z.number().min(0),
  /** Jobs that no worker has claimed. */
  queued_jobs: z.int().min(0),
  /** Their estimated compute-seconds. */
  queued_compute_s: z.number().min(0),
  /** Compute-seconds a second with every slot in use. */
  speed: z.number().min(0),
  /** Seconds until a job of this class that comes now is begun, if what goes before it is done first; null when nobody is there to. */
  expected_wait_s: z.strictObject({ interactive: WaitS, standard: WaitS, batch: WaitS }),
  reported_at_ms: z.int().min(0),
  ttl_ms: z.int().min(1).default(LOAD_REPORT_TTL_MS),
});
export type RegionLoad = z.infer<typeof RegionLoad>;

import { z } from "zod";
import { Job } from "./api.ts";
import { JobId, TenantId } from "./ids.ts";
import { RegionJobState } from "./internal-api.ts";

/**
 * `POST region /internal/jobs/events` → application/x-ndjson: a JobChange a line as the job changes, and empty lines to show that the
 * region is there. It ends once the job has ended in the region, whatever the ledger will say of that.
 */
export const WatchJob = z.strictObject({
  job_id: JobId,
  tenant_id: TenantId,
  /** Only what is newer than this. */
  after_version: z.int().min(0),
});
export const JobChange = z.strictObject({ version: z.int().min(0), state: RegionJobState });
export type JobChange = z.infer<typeof JobChange>;

/** A region sends at least an empty line so often. */
export const EVENT_BEAT_MS = 5_000;

/** Data of the events `status` and `progress` of `GET /v1/jobs/{id}/events`; a `result` holds the whole job. */
export const JobEventState = Job.pick({
  id: true,
  status: true,
  waiting_for: true,
  region: true,
  dispatch: true,
  attempt: true,
  started_at: true,
  queue_position: true,
  progress: true,
}).meta({ id: "JobEventState" });
export type JobEventState = z.infer<typeof JobEventState>;

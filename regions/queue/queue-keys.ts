import type { Priority } from "../../shared/contracts/job.ts";

/** All of the queue lies in one hash slot, so that one script may touch any of it. */
export const queueKeys = {
  job: (jobId: string) => `{antiphon}:job:${jobId}`,
  jobPrefix: "{antiphon}:job:",
  ready: (priority: Priority) => `{antiphon}:ready:${priority}`,
  leases: "{antiphon}:leases",
  offers: "{antiphon}:offers",
};

/** All but the cache lie in the queue's hash slot, so that one script may touch them together. */
export const resultKeys = {
  job: (jobId: string) => `{antiphon}:job:${jobId}`,
  spec: (jobId: string) => `{antiphon}:spec:${jobId}`,
  /** Channel: tells who watches a job that it has changed (`s<job id>`). */
  events: "{antiphon}:events",
  offers: "{antiphon}:offers",
  deadOffers: "{antiphon}:offers:dead",
  outbox: "{antiphon}:outbox",
  /** What happened to jobs, for webhooks. */
  webhooks: "{antiphon}:webhooks",
  deadOutbox: "{antiphon}:outbox:dead",
  /** What jobs took, for estimates. */
  history: "antiphon:job-history",
  /** Up to when (Unix ms, by their ids) jobs born here were told to be settled. */
  settledUntil: "antiphon:settled-until",
  result: (jobId: string) => `antiphon:result:${jobId}`,
};

/** Consumer groups. */
export const groups = { offers: "keepers", outbox: "writers" };

import { z } from "zod";
import { CompletionOffer } from "../../shared/contracts/completion.ts";
import { JobSpec } from "../../shared/contracts/job.ts";

/** What is kept of a job as it was asked for; the dispatch number is the ledger's own. */
export const JobDraft = JobSpec.omit({ dispatch: true });
export type JobDraft = z.infer<typeof JobDraft>;

/** A job as the ledger knows it. `region` and `dispatch` are those of the current assignment. */
export const LedgerJob = z.strictObject({
  draft: JobDraft,
  state: z.enum(["reserved", "accepted", "final"]),
  region: z.string(),
  dispatch: z.int(),
  offer: CompletionOffer.nullable(),
  /** An accepted job that no region can take now: its region is away, or its recording lies only in one that is. */
  waiting_for: z.enum(["region", "audio"]).optional(),
});
export type LedgerJob = z.infer<typeof LedgerJob>;

/** What has to be known of a job to describe it: the ledger knows it, and of what it has forgotten the database does. */
export type KnownJob = Pick<
  LedgerJob,
  "state" | "region" | "dispatch" | "offer" | "waiting_for"
> & {
  draft: Pick<
    JobDraft,
    | "id"
    | "kind"
    | "tenant_id"
    | "residency"
    | "priority"
    | "user_id"
    | "metadata"
    | "created_at"
    | "not_before"
    | "tenant"
  >;
};

import { z } from "zod";
import { ErrorCode } from "../errors/catalogue.ts";
import { Epoch } from "./epoch.ts";
import { JobId, TenantId } from "./ids.ts";
import { JobSpec } from "./job.ts";

/** `<region>.<place in the region's stream>`: a letter is found by its id alone, and ids of a region are in order. */
export const DeadLetterId = z
  .string()
  .regex(/^[a-z0-9-]{1,32}\.\d{1,20}-\d{1,20}$/, "is not the id of a dead letter")
  .meta({ id: "DeadLetterId" });

export const deadLetterId = (region: string, entry: string) => `${region}.${entry}`;

export function readDeadLetterId(id: string): { region: string; entry: string } | undefined {
  if (!DeadLetterId.safeParse(id).success) return undefined;
  const dot = id.indexOf(".");
  return { region: id.slice(0, dot), entry: id.slice(dot + 1) };
}

/** A job that failed through no fault of its recording, as lists show it. Its end was told to its owner like any other. */
export const DeadLetterSummary = z
  .strictObject({
    id: DeadLetterId,
    region: z.string(),
    job_id: z.string(),
    tenant_id: z.string(),
    epoch: Epoch,
    at: z.iso.datetime(),
    code: ErrorCode,
    reason: z.string(),
    /** The new job that it was submitted again as. */
    replayed_as: z.string().optional(),
  })
  .meta({ id: "DeadLetterSummary" });

/** What was to be done, without what the client says of whom: no metadata, no end user. */
export const DeadLetterSpec = JobSpec.pick({
  v: true,
  kind: true,
  residency: true,
  priority: true,
  parts: true,
  language: true,
  model: true,
  upload_id: true,
  created_at: true,
  not_before: true,
  deadline_at: true,
  request_id: true,
  traceparent: true,
}).meta({ id: "DeadLetterSpec" });

export const DeadLetter = DeadLetterSummary.extend({
  /** Attempts that did not come through, the oldest first. */
  history: z.array(
    z.strictObject({
      attempt: z.int(),
      worker_id: z.string(),
      started_at: z.iso.datetime(),
      ended_at: z.iso.datetime(),
      how: z.enum(["error", "stalled"]),
      reason: z.string(),
    }),
  ),
  /** Null where it is not what the contract says, which may be why the job failed. */
  spec: DeadLetterSpec.nullable(),
}).meta({ id: "DeadLetter" });
export type DeadLetter = z.infer<typeof DeadLetter>;

const region = z.string().max(32).optional();

/** `GET /v1/admin/dead-letters` */
export const ListDeadLetters = z.object({
  region: region.meta({ description: "Of this region alone; else of all, one after the other" }),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: DeadLetterId.optional().meta({ description: "`next_cursor` of the page before" }),
});

export const DeadLetterList = z
  .strictObject({
    data: z.array(DeadLetterSummary),
    next_cursor: z.string().nullable(),
    /** Regions that did not answer: their letters are not among these. */
    away: z.array(z.string()),
  })
  .meta({ id: "DeadLetterList" });
export type DeadLetterList = z.infer<typeof DeadLetterList>;

/** Letters by their ids, or all; the latter a page at a time. */
export const PickDeadLetters = z
  .union(
    [
      z.strictObject({ ids: z.array(DeadLetterId).min(1).max(100) }),
      z.strictObject({ all: z.literal(true), region, cursor: DeadLetterId.optional() }),
    ],
    { error: "must be ids, or all: true" },
  )
  .meta({ id: "PickDeadLetters" });
export type PickDeadLetters = z.infer<typeof PickDeadLetters>;

/** `POST /v1/admin/dead-letters/replay` */
export const ReplayedDeadLetters = z
  .strictObject({
    data: z.array(
      z.strictObject({
        id: DeadLetterId,
        replayed_as: JobId.optional(),
        /** Why it could not be replayed; it may be tried again. */
        error: z.strictObject({ code: ErrorCode, detail: z.string() }).optional(),
      }),
    ),
    next_cursor: z.string().nullable(),
    away: z.array(z.string()),
  })
  .meta({ id: "ReplayedDeadLetters" });
export type ReplayedDeadLetters = z.infer<typeof ReplayedDeadLetters>;

/** `POST /v1/admin/dead-letters/discard` */
export const DiscardedDeadLetters = z
  .strictObject({ discarded: z.int(), away: z.array(z.string()) })
  .meta({ id: "DiscardedDeadLetters" });
export type DiscardedDeadLetters = z.infer<typeof DiscardedDeadLetters>;

/** `POST region /internal/dead-letters/list` → the region's letters, the oldest first. */
export const ReadDeadLetters = z.strictObject({
  limit: z.int().min(1).max(100),
  after: DeadLetterId.optional(),
});
export const ReadDeadLettersAnswer = z.strictObject({
  data: z.array(DeadLetterSummary),
  more: z.boolean(),
});

/** `POST region /internal/dead-letters/read` → DeadLetter */
export const ReadDeadLetter = z.strictObject({ id: DeadLetterId });

/**
 * `POST region /internal/dead-letters/replay`: marks a letter with the job that it is submitted again as, once; the answer has the id
 * that it carries, which is an earlier one where somebody was first, and the whole specification.
 */
export const MarkReplayed = z.strictObject({ id: DeadLetterId, job_id: JobId });
export const MarkReplayedAnswer = z.strictObject({
  replayed_as: JobId,
  tenant_id: TenantId,
  spec: JobSpec,
});

/** `POST region /internal/dead-letters/discard` */
export const DiscardDeadLetters = z.union([
  z.strictObject({ ids: z.array(DeadLetterId).min(1).max(100) }),
  z.strictObject({ all: z.literal(true) }),
]);
export const DiscardDeadLettersAnswer = z.strictObject({ discarded: z.int() });

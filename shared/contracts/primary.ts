import { z } from "zod";

/** A place in Postgres's log: the timeline (a promotion starts a new one) and the log sequence number as Postgres writes it. */
export const WalPosition = z
  .strictObject({
    timeline: z.int().min(1),
    lsn: z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/),
  })
  .meta({ id: "WalPosition" });
export type WalPosition = z.infer<typeof WalPosition>;

/**
 * What a region's Postgres is. `stopped`: by its own keeper, which had lost the lease or was to hand it over. `away`: it does not
 * answer, and nobody meant it to.
 */
export const DatabaseRole = z.enum(["primary", "replica", "stopped", "away"]);
export type DatabaseRole = z.infer<typeof DatabaseRole>;

/** `POST edge /internal/primary`: what a keeper says every two seconds of its region's Postgres; by it a primary keeps its lease. */
export const PrimaryReport = z.strictObject({
  role: DatabaseRole,
  /** A primary's log as it is on disk; a replica's as it was received; a stopped one's last checkpoint. */
  position: WalPosition.nullable(),
  /** Up to where this region's outbox has removed entries, because a replica had them. */
  trimmed: WalPosition.nullable(),
  /** `at_ms` of the last answer, had before all this was looked at; null when there was none. It shows a report that comes late. */
  after_ms: z.int().min(0).nullable().optional(),
});
export type PrimaryReport = z.infer<typeof PrimaryReport>;

/**
 * What the keeper is to do. `keep`: be the primary, for as long as the lease lasts. `hand_over`: stop the database, so that the next
 * one has all of its log. `take_over`: promote; the lease is this region's already. `follow`: be a replica of `holder`.
 * `wait`: nobody has the lease yet, and this region cannot take it.
 */
export const PrimaryOrder = z.strictObject({
  do: z.enum(["keep", "hand_over", "take_over", "follow", "wait"]),
  holder: z.string().nullable(),
  term: z.int().min(0),
  /** How long the holder may go on without asking again; counted from when it asked. */
  lease_ms: z.int().min(0),
  /** The edge's clock, for the next report; only where the report has `after_ms`. */
  at_ms: z.int().min(0).optional(),
});
export type PrimaryOrder = z.infer<typeof PrimaryOrder>;

/** `GET /v1/admin/primary` */
export const PrimaryStatus = z
  .strictObject({
    holder: z.string().nullable(),
    term: z.int().min(0).meta({ description: "Grows with each promotion" }),
    lease_ends_in_ms: z.int(),
    handing_over_to: z.string().nullable(),
    regions: z.array(
      z.strictObject({
        region: z.string(),
        role: DatabaseRole,
        position: WalPosition.nullable(),
        trimmed: WalPosition.nullable(),
        reported_ms_ago: z.int().min(0),
        cannot_take_over: z.string().nullable().meta({
          description:
            "Why this region could not take over now; null when it could, or has the lease",
        }),
      }),
    ),
    history: z.array(
      z.strictObject({ term: z.int().min(1), holder: z.string(), since: z.iso.datetime() }),
    ),
  })
  .meta({ id: "PrimaryStatus" });
export type PrimaryStatus = z.infer<typeof PrimaryStatus>;

/** `POST /v1/admin/primary`: hand the lease over, as soon as nothing can be lost by it. */
export const PromoteRegion = z
  .strictObject({ region: z.string().min(1).max(40) })
  .meta({ id: "PromoteRegion" });

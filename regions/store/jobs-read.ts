import { and, asc, desc, eq, gt, gte, lt, or, sql } from "./drizzle.ts";
import { AudioFacts } from "../../shared/contracts/analysis-result.ts";
import { readId } from "../../shared/contracts/ids.ts";
import type { FinalJob, JobRows, SettledJob } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { firstUuidv7 } from "../../shared/contracts/uuidv7.ts";
import type { z } from "zod";
import type { Database } from "./database.ts";
import { createJobCursor } from "./job-cursor.ts";
import { jobs, results, usageEvents } from "./schema.ts";

export interface ListJobs {
  tenantId: string;
  userId?: string | undefined;
  /** Rows at most, 1 to 100. */
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface JobsRead {
  /**
   * A tenant's final jobs from this region's server, newest first.
   * @throws ApiError invalid_request (a cursor of another list, or none of ours) | dependency_unavailable
   */
  list(query: ListJobs): Promise<z.infer<typeof JobRows>>;
  /** One final job of a tenant; undefined when this region's server has none such. @throws ApiError dependency_unavailable */
  find(id: string, tenantId: string): Promise<FoundJob | undefined>;
  /**
   * Jobs born in a region in that time (Unix ms) of which the rows tell as much as the ledger does: analyses of global tenants that
   * succeeded. In the order of their ids, `limit` at most, those after a place.
   */
  settled(query: ListSettled): Promise<SettledJob[]>;
}

/** A job as its rows tell it; the container of its recording stands for an extension. */
export type FoundJob = Omit<FinalJob, "audio" | "error_code" | "metadata" | "kind" | "priority"> & {
  kind: string;
  priority: string;
  error_code: string | null;
  metadata: Record<string, string> | null;
  audio: Pick<AudioFacts, "sha256" | "bytes" | "duration_s" | "container"> | null;
};

export interface ListSettled {
  region: Pick<Region, "code">;
  fromMs: number;
  untilMs: number;
  /** Last id of the page before. */
  after?: string | undefined;
  limit: number;
}

export function createJobsRead(database: Database): JobsRead {
  const cursors = createJobCursor();

  return {
    async find(id, tenantId) {
      const at = new Date(readId(id)?.createdAtMs ?? 0);
      const found = await database.read(async (orm) => {
        const [row] = await orm
          .select()
          .from(jobs)
          .where(and(eq(jobs.id, id), eq(jobs.created_at, at), eq(jobs.tenant_id, tenantId)));
        if (!row) return undefined;
        const [result] = await orm
          .select({ audio: sql<unknown>`${results.result} -> 'audio'` })
          .from(results)
          .where(and(eq(results.job_id, id), eq(results.created_at, at)));
        const stages = await orm
          .select({
            stage: usageEvents.stage,
            seconds: usageEvents.quantity,
            usd: usageEvents.usd,
          })
          .from(usageEvents)
          .where(
            and(
              eq(usageEvents.job_id, id),
              eq(usageEvents.created_at, at),
              eq(usageEvents.unit, "compute_second"),
            ),
          )
          .orderBy(asc(usageEvents.stage));
        return { row, audio: result?.audio, stages };
      });
      return found && toFound(found);
    },

    async settled({ region, fromMs, untilMs, after, limit }) {
      // Ids tell their time, and are the index; the column says which months to open.
      const bound = (ms: number) => `job_${region.code}_${firstUuidv7(ms)}`;
      const rows = await database.read((orm) =>
        orm
          .select({
            id: jobs.id,
            tenant_id: jobs.tenant_id,
            dispatch: jobs.dispatch,
            attempt: jobs.attempt,
          })
          .from(jobs)
          .where(
            and(
              after === undefined ? gte(jobs.id, bound(fromMs)) : gt(jobs.id, after),
              lt(jobs.id, bound(untilMs)),
              gte(jobs.created_at, new Date(fromMs)),
              lt(jobs.created_at, new Date(untilMs)),
              eq(jobs.residency, "global"),
              eq(jobs.kind, "analysis"),
              eq(jobs.status, "succeeded"),
            ),
          )
          .orderBy(asc(jobs.id))
          .limit(limit),
      );
      return rows.map(({ id, tenant_id, dispatch, attempt }) => ({
        job_id: id,
        tenant_id,
        epoch: { dispatch, attempt },
      }));
    },

    async list({ tenantId, userId, limit = 20, cursor }) {
      const size = Math.min(Math.max(1, Math.trunc(limit)), 100);
      const after = cursor === undefined ? undefined : cursors.read(cursor, { tenantId, userId });
      const at = after && new Date(after.createdAtMs);
      const rows = await database.read((orm) =>
        orm
          .select()
          .from(jobs)
          .where(
            and(
              eq(jobs.tenant_id, tenantId),
              userId === undefined ? undefined : eq(jobs.user_id, userId),
              at &&
                or(lt(jobs.created_at, at), and(eq(jobs.created_at, at), lt(jobs.id, after.jobId))),
            ),
          )
          .orderBy(desc(jobs.created_at), desc(jobs.id))
          .limit(size + 1),
      );
      const page = rows.slice(0, size);
      const last = page.at(-1);
      return {
        data: page.map((row) => toJobRow(row)),
        next_cursor:
          rows.length > size && last
            ? cursors.write({
                tenantId,
                userId,
                createdAtMs: last.created_at.getTime(),
                jobId: last.id,
              })
            : null,
      };
    },
  };
}

function toFound(found: {
  row: typeof jobs.$inferSelect;
  audio: unknown;
  stages: FinalJob["cost"]["stages"];
}): FoundJob {
  const { row, stages } = found;
  const finished = (row.finished_at ?? row.created_at).toISOString();
  return {
    kind: row.kind,
    status: row.status as FinalJob["status"],
    residency: row.residency as FinalJob["residency"],
    region: row.region,
    priority: row.priority,
    epoch: { dispatch: row.dispatch, attempt: row.attempt },
    error_code: row.error_code,
    user_id: row.user_id,
    metadata: row.metadata,
    result_key: row.result_key,
    audio: AudioFacts.safeParse(found.audio).data ?? null,
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? finished,
    finished_at: finished,
    cost: { usd: row.usd, stages },
  };
}

function toJobRow(row: typeof jobs.$inferSelect): z.infer<typeof JobRows>["data"][number] {
  return {
    id: row.id,
    kind: row.kind,
    status: row.status as "succeeded" | "failed" | "canceled",
    region: row.region,
    priority: row.priority,
    epoch: { dispatch: row.dispatch, attempt: row.attempt },
    user_id: row.user_id,
    error_code: row.error_code,
    audio_duration_s: row.audio_duration_s,
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    finished_at: row.finished_at?.toISOString() ?? null,
    usd: row.usd,
  };
}

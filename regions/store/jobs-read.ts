import { and, desc, eq, lt, or } from "./drizzle.ts";
import type { JobRows } from "../../shared/contracts/internal-api.ts";
import type { z } from "zod";
import type { Database } from "./database.ts";
import { createJobCursor } from "./job-cursor.ts";
import { jobs } from "./schema.ts";

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
}

export function createJobsRead(database: Database): JobsRead {
  const cursors = createJobCursor();

  return {
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

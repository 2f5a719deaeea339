import { readId } from "../../shared/contracts/ids.ts";
import type { Database } from "./database.ts";
import { and, eq } from "./drizzle.ts";
import { results } from "./schema.ts";

/**
 * A final job's result from this region's server; undefined where it has none, as of every tenant with a residency.
 * @throws ApiError dependency_unavailable
 */
export function createResultsRead(database: Pick<Database, "read">) {
  return async (jobId: string): Promise<unknown> => {
    const createdAtMs = readId(jobId)?.createdAtMs;
    if (createdAtMs === undefined) return undefined;
    const [row] = await database.read((orm) =>
      orm
        .select({ result: results.result })
        .from(results)
        .where(and(eq(results.job_id, jobId), eq(results.created_at, new Date(createdAtMs)))),
    );
    return row?.result;
  };
}

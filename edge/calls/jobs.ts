import type { z } from "zod";
import type { JobSummary } from "../../shared/contracts/api.ts";
import { JobId } from "../../shared/contracts/ids.ts";
import { JobRows, type JobRow } from "../../shared/contracts/internal-api.ts";
import { JobKind, Priority } from "../../shared/contracts/job.ts";
import { GetJobQuery, ListJobs } from "../../shared/contracts/openapi.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { ipPrefix } from "../../shared/signing/ip-prefix.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import { matchesTag } from "../deliver/matches-tag.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";

const LIST_TIMEOUT_MS = 3_000;

/**
 * `GET /v1/jobs/{id}`: what the ledger says, with the region's progress or the result. A final job has a tag, by which a client
 * that has it already is spared the result, and its region the reading.
 */
export function getJob({ config, ledger, describeJob }: EdgeServices) {
  return async (c: EdgeContext): Promise<Response> => {
    const id = JobId.safeParse(c.req.param("id"));
    if (!id.success) throw new ApiError("job_not_found");
    const { audio_ip } = parseRequest(GetJobQuery, c.req.query());
    const job = await ledger.status({ id: id.data, tenant_id: c.get("caller").key.tenant_id });
    if (!job) throw new ApiError("job_not_found");
    const etag = describeJob.tagOf(job);
    const headers: Record<string, string> = etag
      ? { etag, "cache-control": "private, no-cache" }
      : {};
    if (etag && matchesTag(c.req.header("if-none-match"), etag)) {
      return new Response(null, { status: 304, headers });
    }
    const view = audio_ip === undefined ? {} : { network: ipPrefix(audio_ip) };
    const whole = await describeJob.whole(job, baseUrl(c, config.publicUrl), traceOf(c), view);
    return json(whole, 200, headers);
  };
}

/** `GET /v1/jobs`: rows of the nearest permitted region's replica. */
export function listJobs({ router, readRegions, tombstones }: EdgeServices) {
  return async (c: EdgeContext): Promise<Response> => {
    const query = parseRequest(ListJobs, c.req.query());
    const { key } = c.get("caller");
    const candidates = router.candidates({ request: c.req.raw, residency: key.residency });
    const search = new URLSearchParams({ tenant_id: key.tenant_id, limit: String(query.limit) });
    if (query.cursor !== undefined) search.set("cursor", query.cursor);
    if (query.user_id !== undefined) search.set("user_id", query.user_id);
    const owner = { tenantId: key.tenant_id, residency: key.residency };
    // A replica that lags may still have what was deleted.
    const isDeleted = await tombstones.coversJobs(owner);
    const rows: z.infer<typeof JobRows> = await readRegions(candidates, {
      method: "GET",
      target: `/internal/jobs?${search.toString()}`,
      answer: JobRows,
      timeoutMs: LIST_TIMEOUT_MS,
      trace: traceOf(c),
    });
    const data = rows.data.filter(
      ({ id, created_at, user_id }) =>
        !isDeleted({ id, createdAtMs: Date.parse(created_at), userId: user_id }),
    );
    return json({ data: data.map(summarize), next_cursor: rows.next_cursor });
  };
}

function summarize(row: JobRow): JobSummary {
  return {
    id: row.id,
    kind: JobKind.parse(row.kind),
    status: row.status,
    priority: Priority.parse(row.priority),
    region: row.region,
    dispatch: row.epoch.dispatch,
    attempt: row.epoch.attempt,
    ...(row.user_id === null ? {} : { user_id: row.user_id }),
    ...(row.error_code === null ? {} : { error_code: row.error_code }),
    ...(row.audio_duration_s === null ? {} : { audio_duration_s: row.audio_duration_s }),
    created_at: row.created_at,
    ...(row.started_at === null ? {} : { started_at: row.started_at }),
    ...(row.finished_at === null ? {} : { finished_at: row.finished_at }),
    cost_usd: row.usd,
  };
}

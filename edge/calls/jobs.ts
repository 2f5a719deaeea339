import type { Job, JobSummary } from "../../shared/contracts/api.ts";
import { readId } from "../../shared/contracts/ids.ts";
import { JobRows, type JobRow } from "../../shared/contracts/internal-api.ts";
import { JobKind, Priority } from "../../shared/contracts/job.ts";
import { GetJobQuery, ListJobs } from "../../shared/contracts/openapi.ts";
import { parseRequest } from "../../shared/errors/problem.ts";
import { ipPrefix } from "../../shared/signing/ip-prefix.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import { matchesTag } from "../deliver/matches-tag.ts";
import type { EdgeServices } from "../services.ts";
import type { LedgerJob } from "../ledger/ledger-job.ts";
import { baseUrl, json } from "./answer.ts";
import { createFindJob } from "./find-job.ts";
import { createEdgeJobCursor } from "../../shared/signing/job-cursor.ts";

const LIST_TIMEOUT_MS = 3_000;
/** A little longer than the ledger keeps what has ended. */
const LEDGER_KNOWS_MS = 31 * 24 * 3_600_000;

/**
 * `GET /v1/jobs/{id}`: what the ledger says, or later the database, with the region's progress or the result. A final job has a tag, by which a client
 * that has it already is spared the result, and its region the reading.
 */
export function getJob(services: EdgeServices) {
  const { config, describeJob } = services;
  const findJob = createFindJob(services);

  return async (c: EdgeContext): Promise<Response> => {
    const { audio_ip } = parseRequest(GetJobQuery, c.req.query());
    const job = await findJob(c, c.req.param("id"));
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

/**
 * `GET /v1/jobs`: rows of the nearest permitted region's replica, and what the ledger knows that has no row there yet, in one order.
 */
export function listJobs(
  { router, readRegions, ledger, describeJob, tombstones }: EdgeServices,
  now: () => number = Date.now,
) {
  return async (c: EdgeContext): Promise<Response> => {
    const { limit, cursor, user_id: userId } = parseRequest(ListJobs, c.req.query());
    const { key } = c.get("caller");
    const owner = { tenantId: key.tenant_id, residency: key.residency };
    const cursors = createEdgeJobCursor({ tenantId: key.tenant_id, userId });
    const before = cursor === undefined ? undefined : await cursors.read(cursor);
    const candidates = router.candidates({ request: c.req.raw, residency: key.residency });
    const search = new URLSearchParams({ tenant_id: key.tenant_id, limit: String(limit) });
    if (cursor !== undefined) search.set("cursor", cursor);
    if (userId !== undefined) search.set("user_id", userId);
    // What is older than the ledger remembers is not looked for there.
    const ledgerHasSome = !before || before.createdAtMs > now() - LEDGER_KNOWS_MS;
    const [findDeleted, rows, jobs] = await Promise.all([
      tombstones.ofJobs(owner),
      readRegions(candidates, {
        method: "GET",
        target: `/internal/jobs?${search.toString()}`,
        answer: JobRows,
        timeoutMs: LIST_TIMEOUT_MS,
        trace: traceOf(c),
      }),
      ledgerHasSome ? ledger.list(owner, { before, userId, limit: limit + 1 }) : [],
    ]);

    const byId = new Map<string, JobSummary>();
    for (const job of jobs) byId.set(job.draft.id, summarizeLedger(job, describeJob.accepted(job)));
    // A replica that lags may still have what was deleted.
    const deleted = await findDeleted(
      rows.data.map((row) => ({ ...positionOf(row), userId: row.user_id })),
    );
    for (const row of rows.data) {
      if (deleted.has(row.id)) byId.delete(row.id);
      else byId.set(row.id, summarize(row));
    }
    // Beyond the last row there may be rows that nobody has read yet.
    const lastRow = rows.next_cursor === null ? undefined : rows.data.at(-1);
    const all = [...byId.values()].sort(newestFirst);
    const known = lastRow ? all.filter((job) => newestFirst(job, lastRow) <= 0) : all;
    const data = known.slice(0, limit);
    const end = data.length === limit ? data.at(-1) : lastRow;
    const isMore = all.length > data.length || lastRow !== undefined;
    const next_cursor = isMore && end ? await cursors.write(positionOf(end)) : null;
    return json({ data, next_cursor });
  };
}

/** A place in the list: the time is the one in the id, which every row and every shard goes by. */
const positionOf = ({ id }: { id: string }) => ({
  id,
  createdAtMs: readId(id)?.createdAtMs ?? 0,
});

/** As the database sorts them. */
function newestFirst(a: { id: string }, b: { id: string }): number {
  const byTime = positionOf(b).createdAtMs - positionOf(a).createdAtMs;
  return byTime !== 0 ? byTime : a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}

/** What the ledger alone tells: of a job that has not ended it does not know whether it runs. */
function summarizeLedger({ offer }: LedgerJob, job: Job): JobSummary {
  const { id, kind, status, priority, region, dispatch, attempt, user_id, created_at } = job;
  const { started_at, finished_at, error, cost } = job;
  return {
    id,
    kind,
    status,
    priority,
    region,
    dispatch,
    attempt,
    ...(user_id === undefined ? {} : { user_id }),
    ...(error === undefined ? {} : { error_code: error.code }),
    ...(offer?.audio === undefined ? {} : { audio_duration_s: offer.audio.duration_s }),
    created_at,
    ...(started_at === undefined ? {} : { started_at }),
    ...(finished_at === undefined ? {} : { finished_at }),
    cost_usd: cost?.usd ?? 0,
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

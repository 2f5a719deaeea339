import { JobId, readId } from "../../shared/contracts/ids.ts";
import { ReadJobAnswer, type FinalJob } from "../../shared/contracts/internal-api.ts";
import { catalogue } from "../../shared/errors/catalogue.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { KnownJob } from "../ledger/ledger-job.ts";
import type { EdgeServices } from "../services.ts";

/** The ledger describes every job that is younger; regions tell later than this that it need not (regions/results/settle-jobs.ts). */
const LEDGER_DESCRIBES_MS = 24 * 3_600_000;
const ROWS_TIMEOUT_MS = 3_000;

/**
 * The caller's job by its id: as the ledger has it, or, when that no longer does, as the rows of the nearest region's database.
 * @throws ApiError job_not_found, also for another tenant's and for what was deleted | dependency_unavailable
 */
export type FindJob = (c: EdgeContext, id: string | undefined) => Promise<KnownJob>;

export function createFindJob(
  {
    ledger,
    router,
    readRegions,
    tombstones,
  }: Pick<EdgeServices, "ledger" | "router" | "readRegions" | "tombstones">,
  now: () => number = Date.now,
): FindJob {
  async function fromRows(c: EdgeContext, id: string): Promise<KnownJob | undefined> {
    const { tenant_id, residency } = c.get("caller").key;
    const createdAtMs = readId(id)?.createdAtMs;
    if (createdAtMs === undefined || createdAtMs > now() - LEDGER_DESCRIBES_MS) return undefined;
    const [findDeleted, { job }] = await Promise.all([
      tombstones.ofJobs({ tenantId: tenant_id, residency }),
      readRegions(router.candidates({ request: c.req.raw, residency }), {
        method: "POST",
        target: "/internal/jobs/read",
        body: { job_id: id, tenant_id },
        answer: ReadJobAnswer,
        timeoutMs: ROWS_TIMEOUT_MS,
        trace: traceOf(c),
      }),
    ]);
    if (!job) return undefined;
    // A replica that lags may still have what was deleted.
    const deleted = await findDeleted([{ id, createdAtMs, userId: job.user_id }]);
    return deleted.has(id) ? undefined : describedBy(id, tenant_id, job);
  }

  return async (c, given) => {
    const id = JobId.safeParse(given);
    if (!id.success) throw new ApiError("job_not_found");
    const key = { id: id.data, tenant_id: c.get("caller").key.tenant_id };
    const job = (await ledger.status(key)) ?? (await fromRows(c, id.data));
    if (!job) throw new ApiError("job_not_found");
    return job;
  };
}

/** What the ledger would say of it; of an error its title, since rows keep only the code. */
function describedBy(id: string, tenantId: string, job: FinalJob): KnownJob {
  const { kind, priority, residency, region, epoch, status, error_code, created_at } = job;
  const { title, retryable } = catalogue[error_code ?? "internal"];
  const leftNoResult = kind === "analysis" && status === "succeeded" && job.result_key === null;
  return {
    state: "final",
    region,
    dispatch: epoch.dispatch,
    draft: {
      id,
      kind,
      tenant_id: tenantId,
      residency,
      priority,
      created_at,
      ...(job.user_id === null ? {} : { user_id: job.user_id }),
      ...(job.metadata === null ? {} : { metadata: job.metadata }),
      ...(leftNoResult ? { tenant: { keeps_results: false } } : {}),
    },
    offer: {
      job_id: id,
      tenant_id: tenantId,
      region,
      epoch,
      status,
      started_at: job.started_at,
      finished_at: job.finished_at,
      cost: job.cost,
      ...(error_code === null ? {} : { error: { code: error_code, detail: title, retryable } }),
      ...(job.result_key === null ? {} : { result_key: job.result_key }),
      ...(job.audio === null ? {} : { audio: job.audio }),
    },
  };
}

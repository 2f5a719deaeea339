import type { DeletedJob, DeletionOrder } from "../../shared/contracts/deletions.ts";
import type { Residency } from "../../shared/contracts/regions.ts";
import { readId, Sha256Hex } from "../../shared/contracts/ids.ts";
import { hashUser } from "../../shared/signing/hash-user.ts";
import { auditDeletion } from "./audit-log.ts";
import { orUnavailable } from "./database-error.ts";
import type { Database } from "./database.ts";
import { flushedPosition, TIMELINE, waitForReplay } from "./replay.ts";

/** A deletion's part in Postgres. Every step is safe to repeat, by several regions at once too. */
export interface DatabaseDeletions {
  /**
   * Writes the tombstone. After it no writer adds a row of what it covers: those that may not have seen it have ended.
   * @throws ApiError dependency_unavailable
   */
  bury(order: DeletionOrder, signal: AbortSignal): Promise<void>;
  /** Jobs that the order covers, page by page: `after` is the last of the page before. */
  find(order: DeletionOrder, after: string | undefined): Promise<DeletedJob[]>;
  /** Removes the rows of these jobs of a tenant, usage excepted; settles once a replica has replayed that. */
  erase(
    tenantId: string,
    jobIds: readonly string[],
    signal: AbortSignal,
  ): Promise<{ jobs: number; results: number; webhooks: number }>;
  /**
   * Of these jobs, those that have rows and no tombstone here that covers them: they were deleted, and the database was put back to an
   * earlier time since.
   */
  returned(jobs: readonly { tenantId: string; id: string }[]): Promise<ReturnedJob[]>;
  /** Of these recordings of a tenant, those that one of its jobs still has. */
  stillUsed(tenantId: string, sha256: readonly string[]): Promise<Set<string>>;
  /** Removes tombstones that are older than any row can be, a page at a time. */
  forget(beforeMs: number): Promise<number>;
}

export interface ReturnedJob {
  tenantId: string;
  residency: Residency;
  job: DeletedJob;
}

const PAGE = 1_000;
const LOCK_MS = 5_000;

export function createDatabaseDeletions({ primary }: Pick<Database, "primary">): DatabaseDeletions {
  const createdAt = (id: string) => new Date(readId(id)?.createdAtMs ?? 0).toISOString();

  return {
    async bury(order, signal) {
      const { id, tenant_id, residency, scope, requested_at, jobs } = order;
      const named = [
        ...new Set([...jobs.map((job) => job.id), ...("job_id" in scope ? [scope.job_id] : [])]),
      ];
      const isScope = "all" in scope || ("user_id" in scope && residency === "global");
      const hash = "user_id" in scope ? await hashUser(tenant_id, scope.user_id) : null;
      await orUnavailable(async () => {
        const audited = await auditDeletion(primary, order);
        const [buried] = await primary<[{ timeline: number }]>`
          with written as (insert into tombstones (deletion_id, tenant_id, job_id, user_hash, before)
          select ${id}, ${tenant_id}, job_id, null, ${requested_at}::text::timestamptz
          from jsonb_array_elements_text(${JSON.stringify(named)}::text::jsonb) as job_id
          union all
          select ${id}, ${tenant_id}, null, ${hash}::text, ${requested_at}::text::timestamptz where ${isScope}
          on conflict do nothing)
          select ${primary.unsafe(TIMELINE)} as timeline`;
        // A statement locks its tables before it takes its snapshot. So once this lock was had, whoever did not see the
        // tombstone has ended, and whoever comes later sees it.
        await primary.begin((sql) =>
          sql
            .unsafe(
              `set local lock_timeout = ${LOCK_MS}; lock table tombstones in access exclusive mode`,
            )
            .simple(),
        );
        const at = await flushedPosition(primary, [audited ?? buried.timeline, buried.timeline]);
        await waitForReplay(primary, at, { signal });
      });
    },

    async find({ tenant_id, residency, scope, requested_at, jobs }, after) {
      const named = [...jobs.map((job) => job.id), ...("job_id" in scope ? [scope.job_id] : [])];
      const isAll = "all" in scope;
      const user = "user_id" in scope && residency === "global" ? scope.user_id : null;
      const rows = await orUnavailable(
        () => primary<{ id: string; audio_sha256: string | null }[]>`
          select id, audio_sha256 from jobs
          where tenant_id = ${tenant_id} and id > ${after ?? ""}
            and (id in (select jsonb_array_elements_text(${JSON.stringify(named)}::text::jsonb))
              or (created_at <= ${requested_at}::text::timestamptz
                and (${isAll} or (${user}::text is not null and user_id = ${user}))))
          order by id limit ${PAGE}`,
      );
      return rows.map((row) => {
        const sha256 = Sha256Hex.safeParse(row.audio_sha256).data;
        return { id: row.id, ...(sha256 === undefined ? {} : { sha256 }) };
      });
    },

    async erase(tenantId, jobIds, signal) {
      const removed = { jobs: 0, results: 0, webhooks: 0 };
      if (jobIds.length === 0) return removed;
      // The time inside an id says which month its rows lie in; in order, so that two regions never wait in a ring.
      const rows = JSON.stringify([...jobIds].sort().map((id) => ({ id, at: createdAt(id) })));
      await orUnavailable(async () => {
        const { timeline } = await primary.begin(async (sql) => {
          const results = await sql`
            delete from results using jsonb_to_recordset(${rows}::text::jsonb) as r (id text, at timestamptz)
            where results.job_id = r.id and results.created_at = r.at and results.tenant_id = ${tenantId}`;
          const deliveries = await sql`
            delete from webhook_deliveries d using jsonb_to_recordset(${rows}::text::jsonb) as r (id text, at timestamptz)
            where d.job_id = r.id and d.created_at = r.at and d.tenant_id = ${tenantId}`;
          const jobs = await sql`
            delete from jobs using jsonb_to_recordset(${rows}::text::jsonb) as r (id text, at timestamptz)
            where jobs.id = r.id and jobs.created_at = r.at and jobs.tenant_id = ${tenantId}`;
          removed.jobs = jobs.count;
          removed.results = results.count;
          removed.webhooks = deliveries.count;
          const [row] = await sql.unsafe<[{ timeline: number }]>(`select ${TIMELINE} as timeline`);
          return row;
        });
        await waitForReplay(primary, await flushedPosition(primary, [timeline]), { signal });
      });
      return removed;
    },

    async returned(jobs) {
      if (jobs.length === 0) return [];
      const named = JSON.stringify(jobs.map((job) => ({ ...job, at: createdAt(job.id) })));
      const rows = await orUnavailable(
        () => primary<
          { id: string; tenant_id: string; residency: Residency; audio_sha256: string | null }[]
        >`
          select j.id, j.tenant_id, j.residency, j.audio_sha256
          from jsonb_to_recordset(${named}::text::jsonb) as r ("tenantId" text, id text, at timestamptz)
          join jobs j on j.id = r.id and j.created_at = r.at and j.tenant_id = r."tenantId"
          where not exists (select from tombstones t where t.tenant_id = j.tenant_id and t.job_id = j.id)
            and not exists (select from tombstones t where t.tenant_id = j.tenant_id and t.job_id is null
              and j.created_at <= t.before and (t.user_hash is null
                or t.user_hash = encode(sha256(convert_to(j.tenant_id || E'\\n' || j.user_id, 'UTF8')), 'hex')))`,
      );
      return rows.map(({ id, tenant_id: tenantId, residency, audio_sha256 }) => {
        const sha256 = Sha256Hex.safeParse(audio_sha256).data;
        return { tenantId, residency, job: { id, ...(sha256 === undefined ? {} : { sha256 }) } };
      });
    },

    async stillUsed(tenantId, sha256) {
      if (sha256.length === 0) return new Set();
      const rows = await orUnavailable(
        () => primary<{ sha256: string }[]>`
          select distinct audio_sha256 as sha256 from jobs
          where tenant_id = ${tenantId}
            and audio_sha256 in (select jsonb_array_elements_text(${JSON.stringify(sha256)}::text::jsonb))`,
      );
      return new Set(rows.map((row) => row.sha256));
    },

    async forget(beforeMs) {
      const before = new Date(beforeMs).toISOString();
      for (let forgotten = 0; ;) {
        const { count } = await orUnavailable(
          () => primary`
            delete from tombstones where ctid = any (array(
              select ctid from tombstones where created_at < ${before}::text::timestamptz limit ${PAGE}))`,
        );
        forgotten += count;
        if (count < PAGE) return forgotten;
      }
    },
  };
}

import type { WalPosition } from "../../shared/contracts/primary.ts";
import { compareEpochs } from "../../shared/contracts/epoch.ts";
import { readId } from "../../shared/contracts/ids.ts";
import type { OutboxEntry, OutboxEnvelope } from "../../shared/contracts/completion.ts";
import type { Database } from "./database.ts";
import { DatabaseError, databaseErrorCode, isBadRow, orUnavailable } from "./database-error.ts";
import { ensurePartitions, monthOf } from "./partitions.ts";
import { flushedPosition, TIMELINE } from "./replay.ts";

/** An envelope that can never be written, by its place in the batch. */
export interface RefusedEnvelope {
  index: number;
  reason: string;
}

export interface FinalJobs {
  /**
   * Writes final jobs, their results (of global tenants only) and usage, that of no job too, in one transaction unless
   * rows are refused; writing them again changes nothing, and an older epoch never replaces a newer one. Of what was deleted
   * only the usage is written.
   * @returns what the database refused, and a place in its log past this commit
   * @throws ApiError dependency_unavailable while the primary is away: part of the batch may have been written then
   */
  write(
    envelopes: readonly OutboxEntry[],
  ): Promise<{ at: WalPosition; refused: RefusedEnvelope[] }>;
}

interface Entry<T extends OutboxEntry = OutboxEntry> {
  index: number;
  envelope: T;
  createdAt: string;
}

/** No job is older than the project. */
const FIRST_MONTH = "2025-01";

/** One statement is one transaction and one round trip; the rows travel as one parameter, whatever their number. */
const WRITE = `
with batch as materialized (select $1::text::jsonb as doc),
batch_jobs as materialized (
  select r.* from batch, jsonb_to_recordset(doc -> 'jobs') as r (id text, created_at timestamptz, tenant_id text, user_id text)
),
-- Tombstones (regions/store/deletions.ts): what was deleted does not come back. Its usage is written all the same.
deleted as materialized (
  select r.id from batch_jobs r join tombstones t on t.tenant_id = r.tenant_id and t.job_id = r.id
  union
  select r.id from batch_jobs r join tombstones t on t.tenant_id = r.tenant_id and t.job_id is null and r.created_at <= t.before
    and (t.user_hash is null
      or t.user_hash = encode(sha256(convert_to(r.tenant_id || E'\\n' || r.user_id, 'UTF8')), 'hex'))
),
written_jobs as (
  insert into jobs as old (id, created_at, tenant_id, kind, residency, region, priority, dispatch, attempt, status,
    error_code, user_id, metadata, audio_sha256, audio_duration_s, result_key, started_at, finished_at, usd)
  select id, created_at, tenant_id, kind, residency, region, priority, dispatch, attempt, status,
    error_code, user_id, metadata, audio_sha256, audio_duration_s, result_key, started_at, finished_at, usd
  from batch, jsonb_to_recordset(doc -> 'jobs') as r (
    id text, created_at timestamptz, tenant_id text, kind text, residency text, region text, priority text,
    dispatch integer, attempt integer, status text, error_code text, user_id text, metadata jsonb,
    audio_sha256 text, audio_duration_s double precision, result_key text,
    started_at timestamptz, finished_at timestamptz, usd numeric)
  where not exists (select from deleted where deleted.id = r.id)
  on conflict (id, created_at) do update set
    region = excluded.region, priority = excluded.priority, dispatch = excluded.dispatch, attempt = excluded.attempt,
    status = excluded.status, error_code = excluded.error_code, user_id = excluded.user_id,
    metadata = excluded.metadata, audio_sha256 = excluded.audio_sha256,
    audio_duration_s = excluded.audio_duration_s, result_key = excluded.result_key,
    started_at = excluded.started_at, finished_at = excluded.finished_at, usd = excluded.usd
  where (old.dispatch, old.attempt) < (excluded.dispatch, excluded.attempt)
),
written_results as (
  insert into results as old (job_id, created_at, tenant_id, dispatch, attempt, result)
  select job_id, created_at, tenant_id, dispatch, attempt, result
  from batch, jsonb_to_recordset(doc -> 'results') as r (
    job_id text, created_at timestamptz, tenant_id text, dispatch integer, attempt integer, result jsonb)
  where not exists (select from deleted where deleted.id = r.job_id)
  on conflict (job_id, created_at) do update set
    dispatch = excluded.dispatch, attempt = excluded.attempt, result = excluded.result
  where (old.dispatch, old.attempt) < (excluded.dispatch, excluded.attempt)
),
written_usage as (
  insert into usage_events (job_id, stage, created_at, tenant_id, quantity, unit, usd)
  select job_id, stage, created_at, tenant_id, quantity, unit, usd
  from batch, jsonb_to_recordset(doc -> 'usage') as r (
    job_id text, stage text, created_at timestamptz, tenant_id text, quantity double precision, unit text, usd numeric)
  on conflict do nothing
)
select ${TIMELINE} as timeline`;

/** @param now Unix ms; a job from further than a day ahead is refused, so that no id can make partitions at will */
export function createFinalJobs(database: Database, now: () => number = Date.now): FinalJobs {
  const knownMonths = new Set<string>();

  /** Settles to the timeline that it was written on. */
  async function insert(entries: readonly Entry[]): Promise<number> {
    const months = [...new Set(entries.map(({ createdAt }) => createdAt.slice(0, 7)))];
    const unknown = months.filter((month) => !knownMonths.has(month));
    if (unknown.length > 0) {
      await ensurePartitions(database.primary, unknown);
      for (const month of unknown) knownMonths.add(month);
    }
    const doc = JSON.stringify(toRows(newestOfEach(entries)));
    const [row] = await database.primary.unsafe<[{ timeline: number }]>(WRITE, [doc], {
      prepare: true,
    });
    return row.timeline;
  }

  /** Halves a batch that is refused until the rows at fault stand alone; the others go in. */
  async function insertAround(
    entries: readonly Entry[],
    refused: RefusedEnvelope[],
    writtenOn: Set<number>,
  ): Promise<void> {
    try {
      writtenOn.add(await insert(entries));
    } catch (error) {
      if (!isBadRow(error)) throw error;
      // A partition that retention has dropped looks like a broken constraint.
      if (databaseErrorCode(error) === "23514") knownMonths.clear();
      if (entries.length > 1) {
        const half = Math.ceil(entries.length / 2);
        await insertAround(entries.slice(0, half), refused, writtenOn);
        await insertAround(entries.slice(half), refused, writtenOn);
        return;
      }
      try {
        writtenOn.add(await insert(entries));
      } catch (again) {
        if (!isBadRow(again)) throw again;
        refused.push({ index: entries[0]!.index, reason: new DatabaseError(again).message });
      }
    }
  }

  return {
    async write(envelopes) {
      const refused: RefusedEnvelope[] = [];
      const entries: Entry[] = [];
      const lastMonth = monthOf(now() + 86_400_000);
      envelopes.forEach((envelope, index) => {
        const createdAtMs = readId(idOf(envelope))?.createdAtMs;
        const month = createdAtMs === undefined ? undefined : safeMonth(createdAtMs);
        if (
          createdAtMs === undefined ||
          month === undefined ||
          month < FIRST_MONTH ||
          month > lastMonth
        ) {
          refused.push({ index, reason: "the id names no region or time of ours" });
          return;
        }
        entries.push({ index, envelope, createdAt: new Date(createdAtMs).toISOString() });
      });
      return orUnavailable(async () => {
        const writtenOn = new Set<number>();
        if (entries.length > 0) await insertAround(entries, refused, writtenOn);
        return { at: await flushedPosition(database.primary, writtenOn), refused };
      });
    },
  };
}

/** Undefined beyond what four digits can name. */
function safeMonth(ms: number): string | undefined {
  return ms < 253_402_300_800_000 ? monthOf(ms) : undefined;
}

/**
 * One statement may touch a row only once; a batch with an entry twice would fail, and be split. By id, so that statements
 * of several writers that meet in some rows wait for each other, and never in a ring.
 */
function newestOfEach(entries: readonly Entry[]): Entry[] {
  const newest = new Map<string, Entry>();
  for (const entry of entries) {
    const id = idOf(entry.envelope);
    const other = newest.get(id);
    if (!other || compareEpochs(epochOf(entry.envelope), epochOf(other.envelope)) > 0) {
      newest.set(id, entry);
    }
  }
  return [...newest.values()].sort((a, b) => (idOf(a.envelope) < idOf(b.envelope) ? -1 : 1));
}

const idOf = (envelope: OutboxEntry) => (envelope.type === "usage" ? envelope.id : envelope.job.id);
/** What is no job runs once. */
const epochOf = (envelope: OutboxEntry) =>
  envelope.type === "usage" ? { dispatch: 1, attempt: 1 } : envelope.job.epoch;
const isOfJob = (entry: Entry): entry is Entry<OutboxEnvelope> =>
  entry.envelope.type === "job.final";

function toRows(entries: readonly Entry[]) {
  const ofJobs = entries.filter(isOfJob);
  return {
    jobs: ofJobs.map(({ envelope: { job }, createdAt }) => {
      // The worker leaves content out for bound tenants; whatever a worker does, none enters here.
      const isGlobal = job.residency === "global";
      return {
        ...job,
        created_at: createdAt,
        epoch: undefined,
        dispatch: job.epoch.dispatch,
        attempt: job.epoch.attempt,
        user_id: isGlobal ? job.user_id : null,
        metadata: isGlobal ? job.metadata : null,
      };
    }),
    results: ofJobs.flatMap(({ envelope: { job, result }, createdAt }) =>
      job.residency === "global" && result !== null
        ? [
            {
              job_id: job.id,
              created_at: createdAt,
              tenant_id: job.tenant_id,
              ...job.epoch,
              result,
            },
          ]
        : [],
    ),
    usage: entries.flatMap(({ envelope, createdAt }) =>
      envelope.usage.map((row) => ({
        ...row,
        job_id: idOf(envelope),
        tenant_id: envelope.type === "usage" ? envelope.tenant_id : envelope.job.tenant_id,
        created_at: createdAt,
      })),
    ),
  };
}

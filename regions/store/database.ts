import { drizzle, type PostgresJsDatabase } from "./drizzle.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { createHasReplayed, noteWrite, readsAfter } from "./consistency.ts";
import {
  DatabaseError,
  databaseErrorCode,
  isDatabaseAway,
  isPartitionMissing,
  orUnavailable,
} from "./database-error.ts";
import { currentMonths, ensurePartitions } from "./partitions.ts";
import { openPool, type Pool } from "./postgres-pool.ts";
import { flushedPosition, TIMELINE, waitForReplay, type ReplayOptions } from "./replay.ts";
import * as schema from "./schema.ts";

export type Orm = PostgresJsDatabase<typeof schema>;
/** A transaction of the primary, or the primary itself. */
export type Transaction = Parameters<Parameters<Orm["transaction"]>[0]>[0];

export interface DatabaseOptions {
  /** Every host of the cluster. */
  primaryUrl: string;
  /** The server of this region. */
  replicaUrl: string;
  applicationName?: string;
  statementTimeoutMs?: number;
  connectTimeoutMs?: number;
  /** Connections to each, at most. */
  max?: number;
  /** How long a replica that did not answer is left alone, and for readNewest the primary. */
  replicaRestMs?: number;
}

export interface Database {
  primary: Pool;
  /**
   * Reads from this region's server, or from the primary while that is away, or lies behind what the request has to see
   * (see consistency.ts).
   */
  read<T>(work: (orm: Orm) => Promise<T>): Promise<T>;
  /**
   * Reads from the primary, or from this region's server while that is away: a control write is answered once one replica has it, which
   * need not be this region's.
   */
  readNewest<T>(work: (orm: Orm) => Promise<T>): Promise<T>;
  /** Reads from the primary. */
  readPrimary<T>(work: (orm: Orm) => Promise<T>): Promise<T>;
  /**
   * A control write: one transaction on the primary, answered only when a replica has replayed it.
   * @throws ApiError dependency_unavailable when the primary is away, or no replica confirms in time (the write may
   * then have been made: callers repeat it, so it must be idempotent)
   */
  controlWrite<T>(
    work: (transaction: Transaction) => Promise<T>,
    options?: ReplayOptions,
  ): Promise<T>;
  /** Whether this region's server answers and has the schema. */
  isReadable(): Promise<boolean>;
  isPrimaryReachable(): Promise<boolean>;
  close(): Promise<void>;
}

/** Connects lazily; a server that is away makes queries fail, never the process. */
export function createDatabase(options: DatabaseOptions): Database {
  const { primaryUrl, replicaUrl, applicationName = "antiphon", replicaRestMs = 2000 } = options;
  const shared = {
    applicationName,
    ...(options.statementTimeoutMs ? { statementTimeoutMs: options.statementTimeoutMs } : {}),
    ...(options.connectTimeoutMs ? { connectTimeoutMs: options.connectTimeoutMs } : {}),
    ...(options.max ? { max: options.max } : {}),
  };
  const primary = openPool({ ...shared, url: primaryUrl, primary: true });
  const replica = openPool({ ...shared, url: replicaUrl, primary: false });
  const primaryOrm = drizzle(primary, { schema });
  const replicaOrm = drizzle(replica, { schema });
  const hasReplayed = createHasReplayed(replica);
  let replicaRestsUntil = 0;
  let primaryRestsUntil = 0;

  const readPrimary = <T>(work: (orm: Orm) => Promise<T>) => orUnavailable(() => work(primaryOrm));

  async function read<T>(work: (orm: Orm) => Promise<T>): Promise<T> {
    if (performance.now() < replicaRestsUntil) return readPrimary(work);
    try {
      const after = readsAfter();
      if (after && !(await hasReplayed(after))) return await readPrimary(work);
      return await work(replicaOrm);
    } catch (error) {
      const schemaIsMissing = databaseErrorCode(error) === "42P01";
      if (error instanceof ApiError) throw error;
      if (!isDatabaseAway(error) && !schemaIsMissing) throw new DatabaseError(error);
      replicaRestsUntil = performance.now() + replicaRestMs;
      return readPrimary(work);
    }
  }

  return {
    primary,
    read,
    readPrimary,
    async readNewest(work) {
      if (performance.now() < primaryRestsUntil) return read(work);
      try {
        return await readPrimary(work);
      } catch (error) {
        // Away: any other fault is no ApiError.
        if (!(error instanceof ApiError)) throw error;
        primaryRestsUntil = performance.now() + replicaRestMs;
        return read(work);
      }
    },
    async controlWrite(work, replayOptions) {
      const { answer, at } = await orUnavailable(async () => {
        const workOn = async (transaction: Transaction) => {
          const answer = await work(transaction);
          const [row] = await transaction.execute<{ timeline: number }>(
            `select ${TIMELINE} as timeline`,
          );
          return { answer, timeline: row!.timeline };
        };
        const made = await primaryOrm.transaction(workOn).catch(async (error: unknown) => {
          // The audit log has no place for this month: no keeper has looked after it for months.
          if (!isPartitionMissing(error)) throw error;
          await ensurePartitions(primary, currentMonths(Date.now()));
          return primaryOrm.transaction(workOn);
        });
        const place = await flushedPosition(primary, [made.timeline]);
        noteWrite(place);
        return { answer: made.answer, at: place };
      });
      await waitForReplay(primary, at, replayOptions);
      return answer;
    },
    async isReadable() {
      const [row] = await replica<
        [{ ready: boolean }]
      >`select to_regclass('jobs') is not null as ready`;
      return row.ready;
    },
    async isPrimaryReachable() {
      await primary`select 1`;
      return true;
    },
    async close() {
      await Promise.all([primary.end({ timeout: 2 }), replica.end({ timeout: 2 })]);
    },
  };
}

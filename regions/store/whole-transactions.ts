import type postgres from "postgres";
import { databaseErrorCode, isDatabaseAway } from "./database-error.ts";

type Work = (sql: postgres.TransactionSql) => unknown;

/**
 * Keeps a transaction whose link dies from ending the process. postgres.js rolls back whatever failed, on the dead
 * connection too, and throws out of a timer there (porsager/postgres#1208). Postgres has rolled back by itself by then,
 * and the driver rejects the transaction as soon as its connection closes: so it is not told that the work failed.
 */
export function withWholeTransactions(pool: postgres.Sql): postgres.Sql {
  const begin = pool.begin.bind(pool) as (options: string, work: Work) => Promise<unknown>;
  return Object.assign(pool, {
    begin(first: string | Work, second?: Work) {
      const [options, work] = typeof first === "string" ? [first, second!] : ["", first];
      return begin(options, async (sql) => {
        try {
          return await work(sql);
        } catch (error) {
          if (linkIsDead(error)) return new Promise(() => undefined);
          throw error;
        }
      });
    },
  }) as postgres.Sql;
}

/** Postgres's own codes, of a connection that is still there, begin with a digit. */
const linkIsDead = (error: unknown) =>
  isDatabaseAway(error) && !/^\d/.test(databaseErrorCode(error) ?? "");

import { DatabaseSync } from "node:sqlite";
import { PullError } from "./pull-error.ts";

/**
 * Makes sure that one process at a time holds `file`. The operating system keeps the lock (SQLite asks it to), so one whose
 * holder was killed is free at once and can be mistaken for nobody else's.
 *
 * @returns what releases it
 * @throws {PullError} another holds it
 */
export function lockPull(file: string, what: string): () => void {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) {
      throw new PullError(`${file} cannot be locked: ${(error as Error).message}`);
    }
    throw new PullError(`Another process is fetching ${what} already.`);
  }
  const held = database;
  return () => held.close();
}

const SQLITE_BUSY = 5;

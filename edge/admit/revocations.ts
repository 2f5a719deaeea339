import { DurableObject } from "cloudflare:workers";
import type { EdgeBindings } from "../env.ts";

/** Longer than any cache of key records lives; after that Postgres alone tells of a revocation. */
export const REVOCATION_KEPT_MS = 24 * 3_600_000;
const PAGE = 5_000;

export type Revocation = { seq: number; keyId: string; revokedAt: number };

/** The one list of recently revoked keys, which every isolate follows. */
export class Revocations extends DurableObject<EdgeBindings> {
  /** Held by tests; the wall clock otherwise. */
  now: () => number = () => Date.now();
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: EdgeBindings) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS revocations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        key_id TEXT NOT NULL,
        revoked_at INTEGER NOT NULL
      )`);
  }

  async append(keyId: string): Promise<void> {
    const now = this.now();
    this.#sql.exec("INSERT INTO revocations (key_id, revoked_at) VALUES (?, ?)", keyId, now);
    this.#sql.exec("DELETE FROM revocations WHERE revoked_at < ?", now - REVOCATION_KEPT_MS);
  }

  /** Entries after `seq`, oldest first, at most one page. */
  async list(seq: number): Promise<{ entries: Revocation[]; more: boolean }> {
    const rows = this.#sql
      .exec<{ seq: number; key_id: string; revoked_at: number }>(
        "SELECT * FROM revocations WHERE seq > ? ORDER BY seq LIMIT ?",
        seq,
        PAGE,
      )
      .toArray();
    const entries = rows.map((row) => ({
      seq: row.seq,
      keyId: row.key_id,
      revokedAt: row.revoked_at,
    }));
    return { entries, more: rows.length === PAGE };
  }
}

import { DurableObject } from "cloudflare:workers";
import type { EdgeBindings } from "../env.ts";
import { createAlarmClock, type AlarmClock } from "./alarm-clock.ts";

/** How long an answer is kept, and a claim without one remembered. */
const KEPT_MS = 24 * 3_600_000;
/** After this long a claim without an answer is taken to have died with its Worker. */
const CLAIM_LIFE_MS = 60_000;
const SWEEP_BATCH = 500;
/** Stored in place of an answer; read as a stored error (see once.ts). */
const DELETED = JSON.stringify({
  code: "job_not_found",
  detail: "What this request made was deleted.",
});

/** What a first request was answered with. */
export type StoredAnswer = { status: number; headers: Record<string, string>; body: string };

/** Whose answers: those about these, or all that were given until `before` (Unix ms). */
export type Redact = { resourceIds: string[] | null; before: number };

export type Claim = {
  keyHash: string;
  /** Hash of what makes two requests the same. */
  fingerprint: string;
  /** Id of what this request would create; kept for whoever takes the claim over. */
  resourceId: string;
};

export type ClaimAnswer =
  | { kind: "run"; resourceId: string; token: number }
  | { kind: "replay"; answer: StoredAnswer }
  | { kind: "reused" }
  | { kind: "busy" };

type Row = {
  fingerprint: string;
  resource_id: string;
  token: number;
  claimed_until: number;
  answer: string | null;
};

/** Idempotency keys of one tenant's bucket: who claimed a key, and what the answer was. */
export class Idempotency extends DurableObject<EdgeBindings> {
  /** Held by tests; the wall clock otherwise. */
  now: () => number = () => Date.now();
  readonly #sql: SqlStorage;
  readonly #clock: AlarmClock;

  constructor(ctx: DurableObjectState, env: EdgeBindings) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#clock = createAlarmClock(ctx.storage);
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS claims (
        key_hash TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        resource_id TEXT NOT NULL,
        token INTEGER NOT NULL,
        claimed_until INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        answer TEXT
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS claims_expiry ON claims (expires_at);
    `);
  }

  /** The first to claim runs; a later one gets the answer, or waits its turn. A dead claim is resumed under the same id. */
  async claim({ keyHash, fingerprint, resourceId }: Claim): Promise<ClaimAnswer> {
    const now = this.now();
    this.#sql.exec("DELETE FROM claims WHERE key_hash = ? AND expires_at <= ?", keyHash, now);
    const [row] = this.#sql.exec<Row>("SELECT * FROM claims WHERE key_hash = ?", keyHash).toArray();
    if (row) {
      if (row.fingerprint !== fingerprint) return { kind: "reused" };
      if (row.answer !== null) {
        return { kind: "replay", answer: JSON.parse(row.answer) as StoredAnswer };
      }
      if (row.claimed_until > now) return { kind: "busy" };
    }
    const taken = { resourceId: row?.resource_id ?? resourceId, token: (row?.token ?? 0) + 1 };
    this.#sql.exec(
      "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?, NULL)",
      keyHash,
      fingerprint,
      taken.resourceId,
      taken.token,
      now + CLAIM_LIFE_MS,
      now + KEPT_MS,
    );
    await this.#clock.wakeBy(now + KEPT_MS);
    return { kind: "run", ...taken };
  }

  /** Keeps the answer for replays; without effect for a claim that was taken over. */
  async answer(keyHash: string, token: number, answer: StoredAnswer): Promise<void> {
    this.#sql.exec(
      "UPDATE claims SET answer = ? WHERE key_hash = ? AND token = ? AND answer IS NULL",
      JSON.stringify(answer),
      keyHash,
      token,
    );
  }

  /** Gives the claim up, so that the next request runs at once, under the same id. */
  async release(keyHash: string, token: number): Promise<void> {
    this.#sql.exec(
      "UPDATE claims SET claimed_until = 0 WHERE key_hash = ? AND token = ? AND answer IS NULL",
      keyHash,
      token,
    );
  }

  /** Answers about what was deleted say so from now on; the key stays taken, so that a repetition makes nothing anew. */
  async redact({ resourceIds, before }: Redact): Promise<number> {
    const which =
      resourceIds === null
        ? "expires_at <= ?1 AND resource_id NOT GLOB 'key_*' AND resource_id NOT GLOB 'del_*'"
        : "resource_id IN (SELECT value FROM json_each(?1))";
    const value = resourceIds === null ? before + KEPT_MS : JSON.stringify(resourceIds);
    const gone: StoredAnswer = { status: 0, headers: {}, body: DELETED };
    const rows = this.#sql
      .exec<{ key_hash: string }>(
        `UPDATE claims SET answer = ?2 WHERE answer IS NOT NULL AND answer <> ?2 AND ${which} RETURNING key_hash`,
        value,
        JSON.stringify(gone),
      )
      .toArray();
    return rows.length;
  }

  override async alarm(): Promise<void> {
    this.#clock.rang();
    this.#sql.exec(
      `DELETE FROM claims WHERE key_hash IN
        (SELECT key_hash FROM claims WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
      this.now(),
      SWEEP_BATCH,
    );
    const [next] = this.#sql
      .exec<{ at: number | null }>("SELECT min(expires_at) AS at FROM claims")
      .toArray();
    // An hour at least: keys expire one by one, and reading them back checks their time anyway.
    if (next?.at != null) {
      const backlog = next.at <= this.now();
      await this.#clock.wakeBy(
        this.now() + Math.max(next.at - this.now(), backlog ? 1_000 : 3_600_000),
      );
    }
  }
}

import { DurableObject } from "cloudflare:workers";
import {
  DeletionState,
  MAX_NAMED_JOBS,
  MAX_OPEN_DELETIONS,
  mintDeletionId,
  type DeletedJob,
  type DeletionFacts,
  type DeletionOrder,
  type DeletionScope,
} from "../../shared/contracts/deletions.ts";
import { findRegion, isPermitted, type Residency } from "../../shared/contracts/regions.ts";
import { readEdgeConfig, type EdgeBindings, type EdgeConfig } from "../env.ts";
import { createCallRegion } from "../forward/call-region.ts";
import { describeError, log } from "../ops/log.ts";
import { createAlarmClock, type AlarmClock } from "./alarm-clock.ts";
import {
  createDeletionMarks,
  type MarkCursor,
  type MarkPage,
  type Marks,
} from "./deletion-marks.ts";
import { createIdempotencyClient } from "./idempotency-client.ts";
import type { Idempotency } from "./idempotency.ts";
import { createLedgerClient } from "./ledger-client.ts";
import type { Ledger } from "./ledger.ts";

/** A region is asked again so soon, and then less and less often. */
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 5 * 60_000;
/** What readers ask for is kept for so long after a deletion's end; links and lists that may still show what was deleted live an hour, or seconds. */
const RECENT_MS = 48 * 3_600_000;
const CALL_TIMEOUT_MS = 2_000;
/**
 * How long a receipt can be read after its deletion is complete. It proves, and fences nothing any more: its holder has it signed, and
 * what keeps data from coming back are the tombstones of ledger, regions and database, each for as long as its own store could bring any.
 */
const RECEIPT_KEPT_MS = 400 * 24 * 3_600_000;
/** Of one tenant; the oldest go first. An object has room for a multiple of them. */
export const MAX_RECEIPTS = 100_000;
const SWEPT_AT_ONCE = 200;
const SWEEP_EVERY_MS = 10 * 60_000;
const KEPT = ["usage: quantities and cost by job and stage, without content"];

export type NewDeletion = {
  id: string;
  tenantId: string;
  residency: Residency;
  scope: DeletionScope;
  askedBy: NonNullable<DeletionOrder["asked_by"]>;
};

type Row = {
  id: string;
  tenant_id: string;
  residency: Residency;
  scope: string;
  requested_at: number;
  edge: string | null;
  completed_at: number | null;
  tries: number;
  due_at: number | null;
  asked_by: string | null;
};
type Part = { order_id: string; region: string; jobs: string; state: string | null };

/**
 * One tenant's deletions: the tombstone, and how far each region is. The row is the first thing that is written; an alarm goes on
 * from there until the ledger, stored answers and every permitted region have done their part, whatever was away meanwhile.
 */
export class Deletions extends DurableObject<EdgeBindings> {
  /** Held by tests; otherwise the wall clock and the environment. */
  now: () => number = () => Date.now();
  config: () => EdgeConfig = () => readEdgeConfig(this.env);
  readonly #sql: SqlStorage;
  readonly #clock: AlarmClock;
  readonly #marks: ReturnType<typeof createDeletionMarks>;
  #sweepAt = 0;

  constructor(ctx: DurableObjectState, env: EdgeBindings) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#clock = createAlarmClock(ctx.storage);
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS deletions (
        id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, residency TEXT NOT NULL, scope TEXT NOT NULL,
        requested_at INTEGER NOT NULL, edge TEXT, completed_at INTEGER, tries INTEGER NOT NULL DEFAULT 0,
        due_at INTEGER
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS parts (
        deletion_id TEXT NOT NULL, order_id TEXT NOT NULL, region TEXT NOT NULL, jobs TEXT NOT NULL, state TEXT,
        PRIMARY KEY (deletion_id, order_id, region)
      ) WITHOUT ROWID;
    `);
    const columns = this.#sql.exec<{ name: string }>("PRAGMA table_info(deletions)").toArray();
    if (!columns.some(({ name }) => name === "asked_by")) {
      this.#sql.exec("ALTER TABLE deletions ADD COLUMN asked_by TEXT");
    }
    if (!columns.some(({ name }) => name === "names_jobs")) {
      this.#sql.exec("ALTER TABLE deletions ADD COLUMN names_jobs INTEGER NOT NULL DEFAULT 1");
    }
    this.#sql.exec(`
      CREATE INDEX IF NOT EXISTS deletions_by_end ON deletions (names_jobs, completed_at);
      CREATE INDEX IF NOT EXISTS deletions_by_due ON deletions (due_at);
    `);
    this.#marks = createDeletionMarks(this.#sql);
    if (this.#marks.isNew) this.#markOlder();
  }

  /** Writes the tombstone, and begins; a deletion that is here already goes on. Null while too many others are open. */
  async create({
    id,
    tenantId,
    residency,
    scope,
    askedBy,
  }: NewDeletion): Promise<DeletionFacts | null> {
    if (!this.#row(id)) {
      if (this.#open() >= MAX_OPEN_DELETIONS) return null;
      const requestedAtMs = this.now();
      this.#sql.exec(
        `INSERT INTO deletions (id, tenant_id, residency, scope, requested_at, due_at, asked_by)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
        id,
        tenantId,
        residency,
        JSON.stringify(scope),
        requestedAtMs,
        requestedAtMs + FIRST_RETRY_MS,
        JSON.stringify(askedBy),
      );
      this.#marks.made({ id, scope, requestedAtMs });
    }
    await this.#clock.wakeBy(this.now() + FIRST_RETRY_MS);
    await this.#advance(id);
    return this.#facts(id)!;
  }

  /** How far it is now: regions that are not done are asked. Null for none of this tenant's. */
  async read(id: string): Promise<DeletionFacts | null> {
    await this.#advance(id);
    return this.#facts(id);
  }

  /** What was deleted lately, as the edge's readers ask for it: what came since they last did. */
  async recent(cursor: MarkCursor | null): Promise<MarkPage> {
    return this.#marks.since(cursor);
  }

  /** Of what was deleted lately, what bears these names. */
  async named(names: readonly string[]): Promise<Marks> {
    return this.#marks.named(names);
  }

  override async alarm(): Promise<void> {
    this.#clock.rang();
    try {
      const due = this.#sql
        .exec<Row>("SELECT * FROM deletions WHERE due_at <= ? ORDER BY due_at LIMIT 20", this.now())
        .toArray();
      for (const { id } of due) await this.#advance(id);
      this.#sweep();
    } catch (error) {
      log("error", "the alarm of a tenant's deletions failed", { error: describeError(error) });
    } finally {
      const { at } = this.#sql
        .exec<{ at: number | null }>("SELECT min(due_at) AS at FROM deletions")
        .one();
      const next = Math.min(at ?? Number.POSITIVE_INFINITY, this.#nextSweep());
      if (Number.isFinite(next)) await this.#clock.wakeBy(Math.max(next, this.now() + 1_000));
    }
  }

  /**
   * Drops what nobody asks for any more, a bounded number at a time: first which jobs a deletion named, as soon as no reader of `recent`
   * needs them; later its receipt.
   */
  #sweep(): void {
    if (this.now() < this.#sweepAt) return;
    const named = this.#ended(1, this.now() - RECENT_MS, SWEPT_AT_ONCE);
    for (const id of named) {
      this.#sql.exec("UPDATE parts SET jobs = '[]' WHERE deletion_id = ?", id);
      this.#sql.exec("UPDATE deletions SET names_jobs = 0 WHERE id = ?", id);
      this.#marks.forget(id);
    }
    const { receipts } = this.#sql
      .exec<{ receipts: number }>("SELECT count(*) AS receipts FROM deletions WHERE names_jobs = 0")
      .one();
    const tooMany = Math.min(Math.max(0, receipts - MAX_RECEIPTS), SWEPT_AT_ONCE);
    const over = new Set([
      ...this.#ended(0, this.now() - RECEIPT_KEPT_MS, SWEPT_AT_ONCE),
      ...this.#ended(0, this.now(), tooMany),
    ]);
    for (const id of over) {
      this.#sql.exec("DELETE FROM parts WHERE deletion_id = ?", id);
      this.#sql.exec("DELETE FROM deletions WHERE id = ?", id);
    }
    const isFull = named.length === SWEPT_AT_ONCE || over.size >= SWEPT_AT_ONCE;
    this.#sweepAt = isFull ? 0 : this.now() + SWEEP_EVERY_MS;
  }

  /** When there is something to sweep next. */
  #nextSweep(): number {
    const first = (namesJobs: 0 | 1, keptMs: number) => {
      const { at } = this.#sql
        .exec<{ at: number | null }>(
          "SELECT min(completed_at) AS at FROM deletions WHERE names_jobs = ?",
          namesJobs,
        )
        .one();
      return at === null ? Number.POSITIVE_INFINITY : at + keptMs + 1;
    };
    return Math.max(this.#sweepAt, Math.min(first(1, RECENT_MS), first(0, RECEIPT_KEPT_MS)));
  }

  /** Complete deletions that ended before then, the oldest first. */
  #ended(namesJobs: 0 | 1, beforeMs: number, most: number): string[] {
    return this.#sql
      .exec<{ id: string }>(
        "SELECT id FROM deletions WHERE names_jobs = ? AND completed_at < ? ORDER BY completed_at LIMIT ?",
        namesJobs,
        beforeMs,
        most,
      )
      .toArray()
      .map(({ id }) => id);
  }

  #row(id: string): Row | undefined {
    return this.#sql.exec<Row>("SELECT * FROM deletions WHERE id = ?", id).toArray()[0];
  }

  #open(): number {
    return this.#sql
      .exec<{ open: number }>(
        "SELECT count(*) AS open FROM deletions WHERE names_jobs = 1 AND completed_at IS NULL",
      )
      .one().open;
  }

  #partsOf(id: string): Part[] {
    return this.#sql.exec<Part>("SELECT * FROM parts WHERE deletion_id = ?", id).toArray();
  }

  /** Does what can be done now; whatever is away is left for the next time. */
  async #advance(id: string): Promise<void> {
    const row = this.#row(id);
    if (!row || row.completed_at !== null) return;
    const pause = Math.min(FIRST_RETRY_MS * 2 ** Math.min(row.tries, 20), MAX_RETRY_MS);
    this.#sql.exec(
      "UPDATE deletions SET tries = tries + 1, due_at = ? WHERE id = ?",
      this.now() + pause,
      id,
    );
    try {
      if (row.edge === null) await this.#forgetAtTheEdge(row);
      await this.#askRegions(row);
    } catch (error) {
      log("warn", "a deletion cannot go on now", { deletion: id, error: describeError(error) });
    }
    const parts = this.#partsOf(id);
    if (parts.length > 0 && parts.every(({ state }) => isDone(state))) {
      this.#sql.exec(
        "UPDATE deletions SET completed_at = ?, due_at = NULL WHERE id = ?",
        this.now(),
        id,
      );
    }
  }

  /** Marks what an object of an earlier form has deleted. */
  #markOlder(): void {
    const rows = this.#sql.exec<Row>("SELECT * FROM deletions WHERE names_jobs = 1").toArray();
    for (const { id, scope, requested_at: requestedAtMs } of rows) {
      const deleted = { id, scope: JSON.parse(scope) as DeletionScope, requestedAtMs };
      this.#marks.made(deleted);
      const orders = new Map(this.#partsOf(id).map((part) => [part.order_id, part]));
      for (const part of orders.values()) this.#marks.found(deleted, jobsOf(part));
    }
  }

  /** The ledger and stored answers; then the orders for regions stand. */
  async #forgetAtTheEdge(row: Row): Promise<void> {
    const config = this.config();
    const placement = { jurisdictions: config.environment === "production" };
    const scope = JSON.parse(row.scope) as DeletionScope;
    const owner = { tenantId: row.tenant_id, residency: row.residency };
    const ledger = createLedgerClient(this.env.LEDGER as DurableObjectNamespace<Ledger>, placement);
    const idempotency = createIdempotencyClient(
      this.env.IDEMPOTENCY as DurableObjectNamespace<Idempotency>,
      placement,
    );
    const { jobs, removed } = await ledger.forget(owner, {
      deletionId: row.id,
      scope,
      before: row.requested_at,
    });
    const answers = await idempotency.redact(owner, {
      // An upload goes with its job, so nobody may be sent there again; one that holds others' texts too stays.
      resourceIds:
        "all" in scope
          ? null
          : jobs.flatMap(({ id, upload_id, text }) =>
              upload_id === undefined || text ? [id] : [id, upload_id],
            ),
      before: row.requested_at,
    });
    const permitted = config.regions.filter((region) => isPermitted(row.residency, region));
    const chunks: DeletedJob[][] = [];
    for (let at = 0; at === 0 || at < jobs.length; at += MAX_NAMED_JOBS) {
      chunks.push(jobs.slice(at, at + MAX_NAMED_JOBS));
    }
    // Another call may have come to this point meanwhile; its orders then stand.
    if (this.#row(row.id)?.edge !== null) return;
    for (const [at, chunk] of chunks.entries()) {
      const orderId = at === 0 ? row.id : mintDeletionId(this.now());
      for (const region of permitted) {
        this.#sql.exec(
          "INSERT INTO parts VALUES (?, ?, ?, ?, NULL)",
          row.id,
          orderId,
          region.id,
          JSON.stringify(chunk),
        );
      }
      this.#marks.found({ id: row.id, scope, requestedAtMs: row.requested_at }, chunk);
    }
    const edge = {
      removed: { ledger_jobs: Math.max(removed, jobs.length), stored_answers: answers },
      done_at: iso(this.now()),
    };
    this.#sql.exec("UPDATE deletions SET edge = ? WHERE id = ?", JSON.stringify(edge), row.id);
  }

  async #askRegions(row: Row): Promise<void> {
    const callRegion = createCallRegion({ config: this.config() });
    const open = this.#partsOf(row.id).filter(({ state }) => !isDone(state));
    await Promise.all(
      open.map(async (part) => {
        const region = findRegion(part.region);
        if (!region) return;
        const order: DeletionOrder = {
          v: 1,
          id: part.order_id,
          tenant_id: row.tenant_id,
          residency: row.residency,
          scope: JSON.parse(row.scope) as DeletionScope,
          requested_at: iso(row.requested_at),
          jobs: jobsOf(part),
          ...(row.asked_by !== null && part.order_id === row.id
            ? { asked_by: JSON.parse(row.asked_by) as NewDeletion["askedBy"] }
            : {}),
        };
        const outcome = await callRegion(region, {
          method: "POST",
          target: "/internal/deletions",
          body: order,
          answer: DeletionState,
          timeoutMs: CALL_TIMEOUT_MS,
        });
        if (outcome.kind !== "done") return;
        this.#sql.exec(
          "UPDATE parts SET state = ? WHERE deletion_id = ? AND order_id = ? AND region = ?",
          JSON.stringify(outcome.value),
          row.id,
          part.order_id,
          part.region,
        );
      }),
    );
  }

  #facts(id: string): DeletionFacts | null {
    const row = this.#row(id);
    if (!row) return null;
    const parts = this.#partsOf(id);
    return {
      id,
      tenant_id: row.tenant_id,
      scope: JSON.parse(row.scope) as DeletionScope,
      requested_at: iso(row.requested_at),
      status: row.completed_at === null ? "partial" : "completed",
      completed_at: row.completed_at === null ? null : iso(row.completed_at),
      edge: row.edge === null ? null : (JSON.parse(row.edge) as DeletionFacts["edge"]),
      regions: Array.from(
        Map.groupBy(parts, ({ region }) => region),
        ([region, ofRegion]) => ({ region, ...merge(ofRegion) }),
      ),
      kept: KEPT,
      issued_at: iso(this.now()),
    };
  }
}

const iso = (ms: number) => new Date(ms).toISOString();
const jobsOf = ({ jobs }: Pick<Part, "jobs">) => JSON.parse(jobs) as DeletedJob[];
const stateOf = (state: string | null): DeletionState =>
  state === null ? { done_at: null, stores: [] } : (JSON.parse(state) as DeletionState);
const isDone = (state: string | null) => stateOf(state).done_at !== null;

/** The orders of one region as one: done when all are. */
function merge(parts: readonly Part[]): DeletionState {
  const states = parts.map(({ state }) => stateOf(state));
  if (states.length === 1) return states[0]!;
  const latest = (times: readonly string[]) => times.toSorted().at(-1)!;
  const stores = Map.groupBy(
    states.flatMap((state) => state.stores),
    ({ store }) => store,
  );
  return {
    done_at: states.every(({ done_at }) => done_at !== null)
      ? latest(states.map(({ done_at }) => done_at!))
      : null,
    stores: Array.from(stores, ([store, reports]) => {
      const removed: Record<string, number> = {};
      for (const report of reports) {
        for (const [kind, count] of Object.entries(report.removed)) {
          removed[kind] = (removed[kind] ?? 0) + count;
        }
      }
      return { store, removed, done_at: latest(reports.map(({ done_at }) => done_at)) };
    }),
  };
}

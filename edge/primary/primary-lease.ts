import { DurableObject } from "cloudflare:workers";
import type { PrimaryOrder, PrimaryReport, PrimaryStatus } from "../../shared/contracts/primary.ts";
import {
  cannotTakeOver,
  decidePrimary,
  defaultTimes,
  noPrimary,
  type PrimaryState,
} from "../../shared/policies/primary.ts";
import type { EdgeBindings } from "../env.ts";

/** The lease of the one Postgres primary. One object for the deployment: what it says is true, also when it is far away. */
export class PrimaryLease extends DurableObject<EdgeBindings> {
  /** Held by tests; the wall clock otherwise. */
  now: () => number = () => Date.now();

  #state: PrimaryState | undefined;
  #kept = "";

  async #read(): Promise<PrimaryState> {
    if (this.#state) return this.#state;
    const kept = (await this.ctx.storage.get<PrimaryState>("state")) ?? noPrimary;
    // Renewals are not on disk, so the holder may have renewed just before this object was started anew.
    const expiresAtMs = kept.holder === null ? 0 : this.now() + defaultTimes.leaseMs;
    this.#state ??= { ...kept, expiresAtMs };
    return this.#state;
  }

  /** As a new start would; for tests. */
  forget(): void {
    this.#state = undefined;
    this.#kept = "";
  }

  /** On disk before anybody is told, but for what a new start may forget: renewals, and when who reported. */
  async #write(state: PrimaryState): Promise<void> {
    this.#state = state;
    const { holder, term, released, handover, history, reports } = state;
    const trimmed = Object.values(reports).map((report) => report.trimmed);
    const lasting = JSON.stringify([holder, term, released, handover, history, trimmed]);
    if (lasting === this.#kept) return;
    await this.ctx.storage.put("state", state);
    this.#kept = lasting;
  }

  /** A keeper's report; answers with what it is to do. The state is on disk before the answer goes. */
  async report(
    region: string,
    report: PrimaryReport,
    terms: { automatic: boolean; regions: readonly string[] },
  ): Promise<PrimaryOrder> {
    const asking = { region, report, nowMs: this.now() };
    const { state, order } = decidePrimary(await this.#read(), asking, terms);
    await this.#write(state);
    return order;
  }

  /**
   * Has the lease handed over to a region once nothing can be lost by it. The holder itself, asked for by name, is believed again should
   * it have less of the log than before, as after a backup was restored.
   */
  async handOver(to: string, regions: readonly string[]): Promise<PrimaryStatus> {
    const state = await this.#read();
    const own = state.reports[to];
    if (state.holder !== to) {
      await this.#write({ ...state, handover: { to, sinceMs: this.now() } });
    } else if (own) {
      this.#kept = "";
      await this.#write({
        ...state,
        reports: { ...state.reports, [to]: { ...own, furthest: null } },
      });
    }
    return this.status(regions);
  }

  async status(regions: readonly string[]): Promise<PrimaryStatus> {
    const state = await this.#read();
    const now = this.now();
    return {
      holder: state.holder,
      term: state.term,
      lease_ends_in_ms: state.holder === null ? 0 : Math.round(state.expiresAtMs - now),
      handing_over_to: state.handover?.to ?? null,
      regions: Object.entries(state.reports).map(([region, { role, position, trimmed, atMs }]) => ({
        region,
        role,
        position,
        trimmed,
        reported_ms_ago: Math.max(0, Math.round(now - atMs)),
        cannot_take_over:
          region === state.holder ? null : cannotTakeOver(state, region, now, { regions }),
      })),
      history: state.history.map(({ term, holder, sinceMs }) => ({
        term,
        holder,
        since: new Date(sinceMs).toISOString(),
      })),
    };
  }
}

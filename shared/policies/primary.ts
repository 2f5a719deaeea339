import { lsnBytes } from "../contracts/lsn.ts";
import type { PrimaryOrder, PrimaryReport, WalPosition } from "../contracts/primary.ts";

/* Who may be the one primary: a lease with a term. Pure; the Durable Object keeps the state, the keepers do what they are told. */

export interface PrimaryTimes {
  /** A holder that has not asked for so long has lost the lease, and has stopped its database before. */
  leaseMs: number;
  /** How much longer the others wait, for clocks that do not run alike. */
  marginMs: number;
  /** A report that is older says nothing of who can take over. */
  freshMs: number;
  /** How long whoever took over may take to become the primary. */
  promotionMs: number;
  /** How long a handing over may take before the old holder goes on. */
  handoverMs: number;
}

export const defaultTimes: PrimaryTimes = {
  leaseMs: 10_000,
  marginMs: 3_000,
  freshMs: 5_000,
  promotionMs: 60_000,
  handoverMs: 30_000,
};

export interface PrimaryState {
  holder: string | null;
  term: number;
  expiresAtMs: number;
  /** The holder has stopped its database on purpose: nobody needs to wait for the lease to end. */
  released?: { position: WalPosition | null };
  handover?: { to: string; sinceMs: number };
  /** `sinceMs`: since when the region has reported without a gap. */
  reports: Record<string, PrimaryReport & { atMs: number; sinceMs: number }>;
  /** The last is the term that runs. */
  history: { term: number; holder: string; sinceMs: number }[];
}

export const noPrimary: PrimaryState = {
  holder: null,
  term: 0,
  expiresAtMs: 0,
  reports: {},
  history: [],
};

const HISTORY = 100;

/** Takes a region's report, and says what the region is to do. `automatic`: a lost primary is replaced without being asked. */
export function decidePrimary(
  before: PrimaryState,
  asking: { region: string; report: PrimaryReport; nowMs: number },
  { times = defaultTimes, automatic = true }: { times?: PrimaryTimes; automatic?: boolean } = {},
): { state: PrimaryState; order: PrimaryOrder } {
  const { region, report, nowMs } = asking;
  const known = before.reports[region];
  const unbroken = known !== undefined && nowMs - known.atMs <= times.freshMs;
  const sinceMs = unbroken ? known.sinceMs : nowMs;
  const trimmed = laterOf(known?.trimmed ?? null, report.trimmed);
  const state: PrimaryState = {
    ...before,
    reports: { ...before.reports, [region]: { ...report, trimmed, atMs: nowMs, sinceMs } },
  };
  if (state.handover && nowMs - state.handover.sinceMs > times.handoverMs) {
    delete state.handover;
  }
  const answer = (what: PrimaryOrder["do"]) => ({
    state,
    order: {
      do: what,
      holder: state.holder,
      term: state.term,
      lease_ms: state.holder === region ? Math.max(0, state.expiresAtMs - nowMs) : 0,
    },
  });
  const take = () => {
    state.holder = region;
    state.term += 1;
    state.expiresAtMs = nowMs + times.leaseMs;
    state.history = [...state.history, { term: state.term, holder: region, sinceMs: nowMs }].slice(
      -HISTORY,
    );
    delete state.released;
    delete state.handover;
  };

  // The first one ever: there is no older primary that it could contradict.
  if (state.holder === null) {
    if (report.role !== "primary") return answer("wait");
    take();
    return answer("keep");
  }

  if (state.holder === region) {
    const handing = state.handover && state.handover.to !== region;
    if (handing && report.role === "stopped") {
      state.released = { position: report.position };
      return answer("hand_over");
    }
    if (handing && report.role === "primary" && isFresh(state, state.handover!.to, nowMs, times)) {
      // The lease goes on until the database has stopped: nobody takes over from one that may still write.
      state.expiresAtMs = nowMs + times.leaseMs;
      return answer("hand_over");
    }
    if (report.role === "primary" || report.role === "stopped") {
      delete state.released;
      state.expiresAtMs = nowMs + times.leaseMs;
      return answer("keep");
    }
    if (
      report.role === "replica" &&
      nowMs - (state.history.at(-1)?.sinceMs ?? 0) <= times.promotionMs
    ) {
      state.expiresAtMs = nowMs + times.leaseMs;
      return answer("take_over");
    }
    // Its database is away, or does not become what it should: the lease runs out unless that is mended.
    return answer(report.role === "replica" ? "follow" : "keep");
  }

  const asked = state.handover?.to === region;
  const mine = asked || (automatic && state.handover === undefined);
  if (mine && cannotTakeOver(state, region, nowMs, times) === null) {
    take();
    return answer("take_over");
  }
  return answer("follow");
}

/** Why a region may not take over now; null when it may. */
export function cannotTakeOver(
  state: PrimaryState,
  region: string,
  nowMs: number,
  times: PrimaryTimes = defaultTimes,
): string | null {
  const report = state.reports[region];
  const asked = state.handover?.to === region;
  if (!report || !isFresh(state, region, nowMs, times)) return "its keeper has not reported lately";
  if (report.role !== "replica" || report.position === null) return "its database is no replica";
  const { position, sinceMs } = report;
  if (!state.released && nowMs < state.expiresAtMs + times.marginMs) {
    return `the lease of ${state.holder ?? "nobody"} has not ended`;
  }
  // After a silence of all (the edge was away, the whole deployment was down) the holder gets its time to be heard of first.
  const watchedMs = nowMs - sinceMs;
  if (!state.released && !asked && watchedMs < times.leaseMs + times.marginMs) {
    return "it has not watched for long enough";
  }
  if (state.released?.position && compareWal(position, state.released.position) < 0) {
    return "it has not received all that the old primary wrote";
  }
  for (const [other, { trimmed, role, position: theirs }] of Object.entries(state.reports)) {
    if (trimmed && compareWal(position, trimmed) < 0) {
      return `the outbox of ${other} has let go of rows that it does not have`;
    }
    if (other === region || role !== "replica" || theirs === null) continue;
    if (isFresh(state, other, nowMs, times) && compareWal(position, theirs) < 0) {
      return `${other} has more of the log`;
    }
  }
  return null;
}

function isFresh(
  state: PrimaryState,
  region: string,
  nowMs: number,
  { freshMs }: PrimaryTimes,
): boolean {
  const report = state.reports[region];
  return report !== undefined && nowMs - report.atMs <= freshMs;
}

/** Negative when `a` comes before `b`: by timeline, then by place. */
export function compareWal(a: WalPosition, b: WalPosition): number {
  if (a.timeline !== b.timeline) return a.timeline - b.timeline;
  const [x, y] = [lsnBytes(a.lsn), lsnBytes(b.lsn)];
  return x < y ? -1 : x > y ? 1 : 0;
}

const laterOf = (a: WalPosition | null, b: WalPosition | null): WalPosition | null =>
  a === null || (b !== null && compareWal(a, b) < 0) ? b : a;

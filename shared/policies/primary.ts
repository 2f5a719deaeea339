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

export interface RegionReport extends Omit<PrimaryReport, "after_ms"> {
  atMs: number;
  /** Since when the region has reported without a gap. */
  sinceMs: number;
  /** What the region was answered last: a report that brings it tells of what was so after that. Grows with each answer. */
  answeredMs?: number;
  /** What is said here was so at this time or later; 0 where that is not known. */
  asOfMs?: number;
  /** The most log that it has ever said it has. */
  furthest?: WalPosition | null;
  /** Since when its database has been no primary, as far as it reported without a gap. */
  idleSinceMs?: number | undefined;
}

export interface PrimaryOptions {
  times?: PrimaryTimes;
  /** A lost primary is replaced without being asked. */
  automatic?: boolean;
  /** Those of the deployment; what others once reported says nothing. */
  regions?: readonly string[] | undefined;
}

export interface PrimaryState {
  holder: string | null;
  term: number;
  expiresAtMs: number;
  /** The holder has stopped its database on purpose: nobody needs to wait for the lease to end. */
  released?: { position: WalPosition | null };
  handover?: { to: string; sinceMs: number };
  reports: Record<string, RegionReport>;
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

/** Takes a region's report, and says what the region is to do. */
export function decidePrimary(
  before: PrimaryState,
  asking: { region: string; report: PrimaryReport; nowMs: number },
  options: PrimaryOptions = {},
): { state: PrimaryState; order: PrimaryOrder } {
  const { times = defaultTimes, automatic = true } = options;
  const { region, nowMs } = asking;
  const { after_ms, ...report } = asking.report;
  const known = before.reports[region];
  const unbroken = known !== undefined && nowMs - known.atMs <= times.freshMs;
  const sinceMs = unbroken ? known.sinceMs : nowMs;
  // One that was on its way for long, or that its keeper froze over, may tell of what is no more.
  const isCurrent = known?.answeredMs !== undefined && after_ms === known.answeredMs;
  const answeredMs = Math.max(nowMs, (known?.answeredMs ?? 0) + 1);
  const furthest = known?.furthest ?? null;
  const idleSinceMs =
    report.role === "primary" ? undefined : unbroken ? (known.idleSinceMs ?? nowMs) : nowMs;
  const state: PrimaryState = {
    ...before,
    reports: {
      ...before.reports,
      [region]: {
        ...report,
        trimmed: laterOf(known?.trimmed ?? null, report.trimmed),
        atMs: nowMs,
        sinceMs,
        answeredMs,
        asOfMs: isCurrent ? known.atMs : 0,
        furthest: laterOf(furthest, report.position),
        idleSinceMs,
      },
    },
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
      ...(after_ms === undefined ? {} : { at_ms: answeredMs }),
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
    if (report.role !== "primary" && report.role !== "stopped") return answer("wait");
    take();
    return answer("keep");
  }

  if (state.holder === region) {
    const handing = state.handover && state.handover.to !== region;
    // An empty or an old database in the primary's place: the others have what is missing, and one of them is to be the primary.
    const hasLost = furthest && report.position && compareWal(report.position, furthest) < 0;
    if (hasLost && (report.role === "primary" || report.role === "stopped")) {
      delete state.released;
      return answer("follow");
    }
    // One that was killed does not know where its log ends: it is started again, and asked again.
    if (handing && report.role === "stopped" && report.position !== null) {
      if (isCurrent) state.released = { position: report.position };
      return answer("hand_over");
    }
    if (handing && report.role === "primary" && isFresh(state, state.handover!.to, nowMs, times)) {
      // The lease goes on until the database has stopped: nobody takes over from one that may still write.
      state.expiresAtMs = nowMs + times.leaseMs;
      return answer("hand_over");
    }
    if (
      report.role === "primary" ||
      (report.role === "stopped" && hasItsTurn(nowMs - (idleSinceMs ?? nowMs), times))
    ) {
      delete state.released;
      state.expiresAtMs = nowMs + times.leaseMs;
      return answer("keep");
    }
    if (
      report.role === "replica" &&
      hasItsTurn(nowMs - (state.history.at(-1)?.sinceMs ?? 0), times)
    ) {
      state.expiresAtMs = nowMs + times.leaseMs;
      return answer("take_over");
    }
    // Its database is away, or does not become what it should: the lease runs out unless that is mended.
    return answer(report.role === "replica" ? "follow" : "keep");
  }

  const asked = state.handover?.to === region;
  const mine = asked || (automatic && state.handover === undefined);
  if (mine && cannotTakeOver(state, region, nowMs, options) === null) {
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
  { times = defaultTimes, regions }: Omit<PrimaryOptions, "automatic"> = {},
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
  if (!state.released) {
    if (!hasSaid(state, region)) return "it has not said what it has since the lease ended";
    /*
     * A write counts as confirmed once the primary and one replica have it. So all but one of the servers have to be heard of, and after
     * the lease has ended, to know of all that was confirmed; with fewer a new primary could confirm nothing either. An operator who
     * asks does without those that are silent.
     */
    const silent = Object.keys(state.reports).filter(
      (other) => (regions?.includes(other) ?? true) && !hasSaid(state, other),
    );
    const missing = asked
      ? silent.filter((other) => isReplica(state, other, nowMs, times))
      : silent;
    if (missing.length > (asked ? 0 : 1)) {
      const names = missing.filter((other) => other !== state.holder).join(" and ");
      return `${names} has not said what it has since the lease ended`;
    }
  }
  if (state.released?.position && compareWal(position, state.released.position) < 0) {
    return "it has not received all that the old primary wrote";
  }
  for (const [other, { trimmed, role, position: theirs }] of Object.entries(state.reports)) {
    if (trimmed && compareWal(position, trimmed) < 0) {
      return `the outbox of ${other} has let go of rows that it does not have`;
    }
    if (other === region || theirs === null) continue;
    const counts =
      hasSaid(state, other) || (role === "replica" && isFresh(state, other, nowMs, times));
    if (counts && compareWal(position, theirs) < 0) {
      return `${other} has more of the log`;
    }
  }
  return null;
}

/** Whether a server told what log it has at a time at which the holder could write no more. */
function hasSaid(state: PrimaryState, region: string): boolean {
  const { role, position, asOfMs = 0 } = state.reports[region] ?? {};
  return (role === "replica" || role === "stopped") && !!position && asOfMs >= state.expiresAtMs;
}

const isReplica = (state: PrimaryState, region: string, nowMs: number, times: PrimaryTimes) =>
  state.reports[region]?.role === "replica" && isFresh(state, region, nowMs, times);

/** A holder that does not become the primary keeps the lease for a while, then leaves time for others to take it, and so on. */
function hasItsTurn(idleMs: number, { promotionMs, leaseMs, marginMs, freshMs }: PrimaryTimes) {
  return idleMs % (promotionMs + leaseMs + marginMs + 2 * freshMs) <= promotionMs;
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

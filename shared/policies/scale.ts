/** What a pool is scaled by. */
export type ScalingRules = BacklogRules | StreamRules;

interface CommonRules {
  /** Workers at least and at most; `min` 0: the pool may sleep. */
  min: number;
  max: number;
  /** Share of the capacity that should be in use. */
  target: number;
  /** No growth so long after growth, no shrinking so long after any change. A pool at zero is woken at once. */
  scaleOutCooldownMs: number;
  scaleInCooldownMs: number;
  /** Machines kept stopped and prepared beside those that run, so that waking takes seconds. */
  warm: number;
  /** So many workers are on demand before the first one is spot. */
  onDemandBase: number;
  /** Share of the others that is on demand too. */
  onDemandShare: number;
}

export interface BacklogRules extends CommonRules {
  by: "backlog";
  /** From so many waiting jobs on, so many workers more. Ascending; the last that applies counts. */
  steps: readonly { fromWaiting: number; add: number }[];
}

export interface StreamRules extends CommonRules {
  by: "sessions";
  sessionsPerWorker: number;
}

/** Interactive and standard work. */
export const jobPool: BacklogRules = {
  by: "backlog",
  min: 5,
  max: 50,
  target: 0.7,
  steps: [
    { fromWaiting: 50, add: 1 },
    { fromWaiting: 100, add: 3 },
    { fromWaiting: 500, add: 10 },
  ],
  scaleOutCooldownMs: 60_000,
  scaleInCooldownMs: 300_000,
  warm: 0,
  onDemandBase: 5,
  onDemandShare: 0,
};

/** Work that can wait: nothing runs while nothing is there, and one machine lies ready. */
export const batchPool: BacklogRules = { ...jobPool, min: 0, warm: 1, onDemandBase: 1 };

/** Live sessions, which hold a worker for as long as they last and cannot be queued. */
export const streamPool: StreamRules = {
  by: "sessions",
  min: 1,
  max: 50,
  target: 0.7,
  sessionsPerWorker: 100,
  scaleOutCooldownMs: 60_000,
  scaleInCooldownMs: 300_000,
  warm: 0,
  onDemandBase: 1,
  onDemandShare: 1,
};

/** What was last changed, carried from call to call; empty at first. */
export interface ScalingState {
  lastOutMs?: number | undefined;
  lastChangeMs?: number | undefined;
}

export interface ScalingSignal {
  nowMs: number;
  /** Workers that were asked for: those that run and those that are on their way. */
  workers: number;
  /** Those of them that take jobs by now. */
  ready: number;
  /** Jobs that no worker has claimed. What runs, or is pending with a worker, is not among them. */
  waiting: number;
  /** Jobs at work. They hold a pool up, and never make it grow by the backlog's steps. */
  running: number;
  /** Share of the slots of the ready workers in use, averaged over the last minute. */
  utilization: number;
  /** Live sessions; for pools of streams. */
  sessions?: number;
}

export interface ScalingDecision {
  workers: number;
  onDemand: number;
  spot: number;
  /** Machines to keep stopped and prepared. */
  warm: number;
  why: "bounds" | "wake" | "backlog" | "target" | "sessions" | "idle" | "cooldown" | "steady";
  state: ScalingState;
}

/** Shrinking needs the target missed by so much, so that noise does not swing a pool. */
const SLACK = 0.9;

/**
 * How many workers a pool should have: the most that any of its rules asks for, within bounds and cooldowns. The steps go by what
 * waits; target tracking asks for as many workers as would bring the utilization of those that are ready to its target (what is on
 * its way is not asked for twice), and it alone shrinks a pool, never while the backlog calls for more.
 */
export function scalePool(
  rules: ScalingRules,
  signal: ScalingSignal,
  state: ScalingState = {},
): ScalingDecision {
  const { nowMs, workers } = signal;
  const bounded = Math.min(rules.max, Math.max(rules.min, workers));
  const decide = (wanted: number, why: ScalingDecision["why"]): ScalingDecision => {
    const count = Math.min(rules.max, Math.max(rules.min, wanted));
    const changed = count !== workers;
    const base = Math.min(count, rules.onDemandBase);
    const onDemand = base + Math.ceil((count - base) * rules.onDemandShare);
    return {
      workers: count,
      onDemand,
      spot: count - onDemand,
      warm: rules.warm,
      why,
      state: {
        lastOutMs: count > workers ? nowMs : state.lastOutMs,
        lastChangeMs: changed ? nowMs : state.lastChangeMs,
      },
    };
  };
  if (bounded !== workers) return decide(bounded, "bounds");
  const { wanted, why } =
    rules.by === "sessions" ? bySessions(rules, signal) : byBacklog(rules, signal);
  const next = Math.min(rules.max, Math.max(rules.min, wanted));
  if (next === workers) return decide(workers, "steady");
  if (next > workers) {
    // Cooldown is there for the last machine to have its effect; at zero there is none to wait for.
    const cooling = within(state.lastOutMs, rules.scaleOutCooldownMs, nowMs) && workers > 0;
    return cooling ? decide(workers, "cooldown") : decide(next, why);
  }
  const cooling = within(state.lastChangeMs, rules.scaleInCooldownMs, nowMs);
  return cooling ? decide(workers, "cooldown") : decide(next, why);
}

interface Wish {
  wanted: number;
  why: ScalingDecision["why"];
}

function byBacklog(rules: BacklogRules, signal: ScalingSignal): Wish {
  const { workers, waiting, running } = signal;
  if (workers === 0 && waiting === 0) return { wanted: 0, why: "idle" };
  const step = rules.steps.findLast(({ fromWaiting }) => waiting >= fromWaiting)?.add ?? 0;
  // One waiting job is enough to wake a pool, however high its first step is.
  const stepped = workers === 0 ? Math.max(1, step) : workers + step;
  const tracked = trackTarget(signal, rules.target);
  if (step > 0 || workers === 0) {
    const why = workers === 0 ? "wake" : "backlog";
    return tracked > stepped ? { wanted: tracked, why: "target" } : { wanted: stepped, why };
  }
  // The last worker goes only when it has nothing left to do.
  if (tracked < 1) return waiting + running > 0 ? { wanted: 1, why: "target" } : idle;
  return { wanted: tracked, why: "target" };
}
const idle: Wish = { wanted: 0, why: "idle" };

function trackTarget({ workers, ready, utilization }: ScalingSignal, target: number): number {
  const wanted = Math.ceil((ready * utilization) / target - 1e-9);
  // While some are on their way, how busy the others are does not yet say that they are too many.
  if (wanted < workers && ready < workers) return workers;
  return wanted >= workers || utilization < target * SLACK ? wanted : workers;
}

function bySessions(rules: StreamRules, signal: ScalingSignal): Wish {
  const { workers, sessions = 0, waiting } = signal;
  const { target, sessionsPerWorker } = rules;
  // A session that found no room shows as waiting; it needs room as those that have it.
  const full = workers * sessionsPerWorker * target || 1;
  const wanted = Math.ceil((sessions + waiting) / (sessionsPerWorker * target) - 1e-9);
  const grows = wanted > workers;
  const why = workers === 0 && grows ? "wake" : "sessions";
  return grows || (sessions + waiting) / full < SLACK ? { wanted, why } : { wanted: workers, why };
}

function within(sinceMs: number | undefined, lengthMs: number, nowMs: number): boolean {
  return sinceMs !== undefined && nowMs - sinceMs < lengthMs;
}

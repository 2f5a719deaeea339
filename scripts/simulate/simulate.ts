import type { WorkerLoad } from "../../shared/contracts/load-report.ts";
import type { Assignable } from "../../shared/policies/assign.ts";
import { leastConnections, roundRobin, weightedRoundRobin } from "../../shared/policies/assign.ts";
import type { ClaimOptions, WaitingJob } from "../../shared/policies/claim.ts";
import { chooseJob, compareDue, DEFAULT_PATIENCE } from "../../shared/policies/claim.ts";
import type { ComputeHistory } from "../../shared/policies/compute-estimate.ts";
import {
  emptyHistory,
  estimateCompute,
  learnCompute,
  remainingCompute,
} from "../../shared/policies/compute-estimate.ts";
import { expectedWaitS } from "../../shared/policies/region-load.ts";
import type { ScalingRules, ScalingState } from "../../shared/policies/scale.ts";
import { scalePool } from "../../shared/policies/scale.ts";
import { createAgenda } from "./create-agenda.ts";
import { createRandom } from "./create-random.ts";
import type { SimulatedJob } from "./make-workload.ts";

/** How jobs come to workers: handed over as they arrive, or claimed by whoever has room. */
export type SimulatedPolicy =
  | { by: "assigning"; rule: "round-robin" | "least-connections"; weighted: boolean }
  | { by: "claiming"; options: ClaimOptions };

/** Where estimates come from: learnt while it runs, the truth, or one guess for all. */
export type SimulatedEstimates = "learnt" | "known" | "none";

export interface SimulatedRegion {
  id: string;
  workers: readonly { speed: number; slots: number }[];
}

export interface SimulatedScaling {
  rules: ScalingRules;
  /** Of the workers that are added, each in turn. */
  speeds: readonly number[];
  slots: number;
  /** From the decision until a new worker claims jobs; the second for machines that were kept warm. */
  bootS: number;
  warmBootS: number;
}

export interface SimulationOptions {
  jobs: readonly SimulatedJob[];
  regions: readonly SimulatedRegion[];
  policy: SimulatedPolicy;
  estimates: SimulatedEstimates;
  /** How old a worker's knowledge of the others may be; 0: never old. */
  reportEveryS?: number;
  /** Of chance in who asks first, and in when reports are sent. */
  seed?: number;
  /** Jobs go to the region nearest to the client, or to the one with the least wait on top of the way there. */
  route?: "nearest" | "expected-wait";
  /** Round trips in seconds between regions by index; 0 where absent. */
  roundTripS?: (from: number, to: number) => number;
  scaling?: SimulatedScaling | undefined;
  /** Seconds between entries of the timeline. */
  sampleEveryS?: number;
}

export interface SimulatedEnd {
  job: SimulatedJob;
  region: number;
  worker: string;
  speed: number;
  startedAtS: number;
  endedAtS: number;
}

export interface Sample {
  atS: number;
  region: string;
  waiting: number;
  running: number;
  workers: number;
  slots: number;
}

export interface Simulation {
  ends: SimulatedEnd[];
  timeline: Sample[];
  /** Compute-seconds done, and those that could have been done by the workers that were there, from first arrival to last end. */
  done: number;
  possible: number;
  /** The same, as long as jobs still came. */
  doneWhileComing: number;
  possibleWhileComing: number;
  changes: { atS: number; region: string; from: number; to: number; why: string }[];
  leastWorkers: number;
  mostWorkers: number;
  /** How long it took until the last job ended, and how many workers were up, added up over that time. */
  lengthS: number;
  workerSeconds: number;
}

interface Claimed {
  job: SimulatedJob;
  estimate: number;
  startedAtS: number;
}

interface Worker {
  id: string;
  speed: number;
  slots: number;
  running: Claimed[];
  /** Handed over and not begun; only where jobs are assigned. */
  queue: SimulatedJob[];
  given: number;
  report: WorkerLoad;
  fromS: number;
  draining: boolean;
  asksAtS: number | undefined;
}

interface Pool {
  index: number;
  id: string;
  workers: Worker[];
  /** In the order of due times. */
  waiting: WaitingJob[];
  waitingCompute: number;
  turn: number;
  scaling: ScalingState;
  ordered: number;
  added: number;
  created: number;
  /** Slot-seconds in use since the last look, and how many there were. */
  used: number;
  usable: number;
  lastUsedS: number;
}

type Event =
  | { type: "arrival"; job: SimulatedJob }
  | { type: "end"; pool: Pool; worker: Worker; run: Claimed }
  | { type: "ask"; pool: Pool; worker: Worker }
  | { type: "report"; pool: Pool; worker: Worker }
  | { type: "ready"; pool: Pool; speed: number }
  | { type: "scale" }
  | { type: "sample" };

/** A claim looks at so many jobs at most, as a queue would offer them. */
const WINDOW = 64;
const SCALE_EVERY_S = 10;
/** One guess for every job, where there are no estimates. */
const GUESS_S = 10;

/** Runs jobs through workers, event by event, with the very policies that the regions run. Deterministic for its options. */
export function simulate(options: SimulationOptions): Simulation {
  const { jobs, policy, estimates, reportEveryS = 0, seed = 1, scaling, sampleEveryS } = options;
  const random = createRandom(seed);
  const agenda = createAgenda<Event>();
  const inOrder = compareDue(
    policy.by === "claiming" ? (policy.options.patience ?? DEFAULT_PATIENCE) : 0,
  );
  const waitingJobs = new Map<string, SimulatedJob>();
  let history: ComputeHistory = emptyHistory;
  let now = 0;
  let left = jobs.length;
  const lastArrivalS = jobs.at(-1)?.arrivesAtS ?? 0;
  const result: Simulation = {
    ends: [],
    timeline: [],
    done: 0,
    possible: 0,
    doneWhileComing: 0,
    possibleWhileComing: 0,
    changes: [],
    leastWorkers: Infinity,
    mostWorkers: 0,
    lengthS: 0,
    workerSeconds: 0,
  };
  const pools: Pool[] = options.regions.map(({ id }, index) => ({
    index,
    id,
    workers: [],
    waiting: [],
    waitingCompute: 0,
    turn: 0,
    scaling: {},
    ordered: 0,
    added: 0,
    created: 0,
    used: 0,
    usable: 0,
    lastUsedS: 0,
  }));
  for (const [index, region] of options.regions.entries()) {
    for (const { speed, slots } of region.workers) addWorker(pools[index]!, speed, slots);
    pools[index]!.ordered = region.workers.length;
  }
  for (const job of jobs) agenda.add(job.arrivesAtS, { type: "arrival", job });
  if (scaling) agenda.add(0, { type: "scale" });
  if (sampleEveryS !== undefined) agenda.add(0, { type: "sample" });
  countWorkers();

  while (left > 0) {
    const next = agenda.next();
    if (!next) throw new Error("jobs are left that nobody will ever take");
    now = next.atS;
    handle(next.event);
  }
  for (const pool of pools) for (const worker of pool.workers) retire(worker);
  result.lengthS = now;
  return result;

  function handle(event: Event): void {
    switch (event.type) {
      case "arrival":
        return arrive(event.job);
      case "end":
        return end(event.pool, event.worker, event.run);
      case "ask":
        if (event.worker.asksAtS !== now) return;
        event.worker.asksAtS = undefined;
        return ask(event.pool, event.worker);
      case "report":
        if (!event.pool.workers.includes(event.worker)) return;
        event.worker.report = reportOf(event.worker);
        agenda.add(now + reportEveryS, event);
        return;
      case "ready":
        return ready(event.pool, event.speed);
      case "scale":
        for (const pool of pools) scale(pool);
        agenda.add(now + SCALE_EVERY_S, event);
        return;
      case "sample":
        for (const pool of pools) sample(pool);
        agenda.add(now + sampleEveryS!, event);
    }
  }

  function arrive(job: SimulatedJob): void {
    const pool = pools[chooseRegion(job)]!;
    if (policy.by === "assigning") {
      const worker = pool.workers[assignIn(pool)];
      if (!worker) throw new Error(`${pool.id} has no worker to hand a job to`);
      pool.turn += 1;
      worker.given += 1;
      worker.queue.push(job);
      beginQueued(pool, worker);
      return;
    }
    const waiting: WaitingJob = {
      id: job.id,
      queuedAtMs: now * 1000,
      computeSeconds: estimateOf(job),
    };
    waitingJobs.set(job.id, job);
    insert(pool.waiting, waiting, inOrder);
    pool.waitingCompute += waiting.computeSeconds;
    wakeAll(pool);
  }

  function chooseRegion(job: SimulatedJob): number {
    if (pools.length === 1) return 0;
    if (options.route !== "expected-wait") return job.home;
    const cost = (pool: Pool) =>
      (options.roundTripS?.(job.home, pool.index) ?? 0) +
      (expectedWaitS(
        pool.workers.map((worker) => seen(worker)),
        pool.waitingCompute,
        now * 1000,
      ) ?? Infinity);
    let best = job.home;
    let least = cost(pools[best]!);
    for (const pool of pools) {
      const value = cost(pool);
      if (value < least) {
        least = value;
        best = pool.index;
      }
    }
    return best;
  }

  function assignIn(pool: Pool): number {
    if (policy.by !== "assigning") return -1;
    const workers: Assignable[] = pool.workers.map(({ running, queue, speed, slots }) => ({
      jobs: running.length + queue.length,
      weight: policy.weighted ? speed * slots : 1,
    }));
    if (policy.rule === "least-connections") return leastConnections(pool.turn, workers);
    if (!policy.weighted) return roundRobin(pool.turn, workers);
    return weightedRoundRobin(
      pool.turn,
      workers,
      pool.workers.map(({ given }) => given),
    );
  }

  function beginQueued(pool: Pool, worker: Worker): void {
    while (worker.running.length < worker.slots) {
      const job = worker.queue.shift();
      if (!job) return;
      begin(pool, worker, job, job.work);
    }
  }

  function begin(pool: Pool, worker: Worker, job: SimulatedJob, estimate: number): void {
    countUse(pool);
    const run = { job, estimate, startedAtS: now };
    worker.running.push(run);
    agenda.add(now + job.work / worker.speed, { type: "end", pool, worker, run });
  }

  function end(pool: Pool, worker: Worker, run: Claimed): void {
    countUse(pool);
    worker.running.splice(worker.running.indexOf(run), 1);
    left -= 1;
    const { job, startedAtS } = run;
    result.ends.push({
      job,
      region: pool.index,
      worker: worker.id,
      speed: worker.speed,
      startedAtS,
      endedAtS: now,
    });
    result.done += job.work;
    const comingS = Math.max(0, Math.min(now, lastArrivalS) - startedAtS);
    result.doneWhileComing += comingS * worker.speed;
    if (estimates === "learnt") {
      history = learnCompute(history, shapeOf(job), (now - startedAtS) * worker.speed);
    }
    if (worker.draining && worker.running.length === 0) remove(pool, worker);
    else if (policy.by === "assigning") beginQueued(pool, worker);
    else wake(pool, worker);
  }

  /** Whoever has room asks, in no order: in a region they race. */
  function wakeAll(pool: Pool): void {
    const able = pool.workers.filter(
      ({ running, slots, draining }) => !draining && running.length < slots,
    );
    for (let i = able.length - 1; i >= 0; i -= 1) {
      const j = Math.floor(random.next() * (i + 1));
      const worker = able[j]!;
      able[j] = able[i]!;
      wake(pool, worker);
    }
  }

  function wake(pool: Pool, worker: Worker): void {
    if (worker.asksAtS !== undefined && worker.asksAtS <= now) return;
    worker.asksAtS = now;
    agenda.add(now, { type: "ask", pool, worker });
  }

  function ask(pool: Pool, worker: Worker): void {
    if (policy.by !== "claiming") return;
    const choice = chooseJob(
      {
        nowMs: now * 1000,
        worker: reportOf(worker),
        others: pool.workers.filter((other) => other !== worker).map((other) => seen(other)),
        waiting: pool.waiting.slice(0, WINDOW),
      },
      policy.options,
    );
    if (choice.take) {
      const { id, computeSeconds } = choice.take;
      pool.waiting.splice(
        pool.waiting.findIndex((waiting) => waiting.id === id),
        1,
      );
      pool.waitingCompute -= computeSeconds;
      const job = waitingJobs.get(id)!;
      waitingJobs.delete(id);
      begin(pool, worker, job, computeSeconds);
      wake(pool, worker);
    } else if (choice.askAgainInMs !== null) {
      // Asking goes on in steps that time can tell apart.
      worker.asksAtS = now + Math.max(0.001, choice.askAgainInMs / 1000);
      agenda.add(worker.asksAtS, { type: "ask", pool, worker });
    }
  }

  function scale(pool: Pool): void {
    if (!scaling) return;
    countUse(pool);
    const running = pool.workers.reduce((sum, worker) => sum + worker.running.length, 0);
    const decision = scalePool(
      scaling.rules,
      {
        nowMs: now * 1000,
        workers: pool.ordered,
        ready: pool.workers.filter(({ draining }) => !draining).length,
        waiting: pool.waiting.length,
        running,
        utilization: pool.usable === 0 ? 0 : pool.used / pool.usable,
        sessions: running,
      },
      pool.scaling,
    );
    pool.scaling = decision.state;
    // A mean over about a minute.
    pool.used *= 1 - SCALE_EVERY_S / 60;
    pool.usable *= 1 - SCALE_EVERY_S / 60;
    if (decision.workers === pool.ordered) return;
    const { why } = decision;
    result.changes.push({
      atS: now,
      region: pool.id,
      from: pool.ordered,
      to: decision.workers,
      why,
    });
    for (let more = pool.ordered; more < decision.workers; more += 1) {
      const speed = scaling.speeds[pool.added % scaling.speeds.length]!;
      pool.added += 1;
      const warm = more - pool.ordered < decision.warm;
      agenda.add(now + (warm ? scaling.warmBootS : scaling.bootS), { type: "ready", pool, speed });
    }
    // The idle go first, and of those the slow.
    const leaving = pool.workers
      .filter(({ draining }) => !draining)
      .toSorted((a, b) => a.running.length - b.running.length || a.speed - b.speed)
      .slice(0, Math.max(0, pool.ordered - decision.workers));
    for (const worker of leaving) {
      worker.draining = true;
      if (worker.running.length === 0) remove(pool, worker);
    }
    pool.ordered = decision.workers;
    countWorkers();
  }

  function ready(pool: Pool, speed: number): void {
    // The pool may have shrunk while it was on its way.
    const up = pool.workers.filter(({ draining }) => !draining).length;
    if (up < pool.ordered) wake(pool, addWorker(pool, speed, scaling!.slots));
  }

  function addWorker(pool: Pool, speed: number, slots: number): Worker {
    countUse(pool);
    const worker: Worker = {
      id: `${pool.id}-${(pool.created += 1)}`,
      speed,
      slots,
      running: [],
      queue: [],
      given: 0,
      report: undefined as never,
      fromS: now,
      draining: false,
      asksAtS: undefined,
    };
    worker.report = reportOf(worker);
    pool.workers.push(worker);
    if (reportEveryS > 0 && policy.by === "claiming") {
      agenda.add(now + random.next() * reportEveryS, { type: "report", pool, worker });
    }
    return worker;
  }

  function remove(pool: Pool, worker: Worker): void {
    countUse(pool);
    pool.workers.splice(pool.workers.indexOf(worker), 1);
    retire(worker);
  }

  function retire({ fromS, speed, slots }: Worker): void {
    result.workerSeconds += now - fromS;
    result.possible += (now - fromS) * speed * slots;
    result.possibleWhileComing += Math.max(0, Math.min(now, lastArrivalS) - fromS) * speed * slots;
  }

  function countUse(pool: Pool): void {
    const forS = now - pool.lastUsedS;
    pool.lastUsedS = now;
    for (const { running, slots } of pool.workers) {
      pool.used += forS * running.length;
      pool.usable += forS * slots;
    }
  }

  function countWorkers(): void {
    const count = pools.reduce((sum, { ordered }) => sum + ordered, 0);
    result.leastWorkers = Math.min(result.leastWorkers, count);
    result.mostWorkers = Math.max(result.mostWorkers, count);
  }

  function sample(pool: Pool): void {
    result.timeline.push({
      atS: now,
      region: pool.id,
      waiting: pool.waiting.length + pool.workers.reduce((sum, { queue }) => sum + queue.length, 0),
      running: pool.workers.reduce((sum, { running }) => sum + running.length, 0),
      workers: pool.workers.length,
      slots: pool.workers.reduce((sum, { slots }) => sum + slots, 0),
    });
  }

  function estimateOf(job: SimulatedJob): number {
    if (estimates === "known") return job.work;
    if (estimates === "none") return GUESS_S;
    return estimateCompute(history, shapeOf(job)).seconds;
  }

  /** What the others know of a worker: its last report. */
  function seen(worker: Worker): WorkerLoad {
    return reportEveryS > 0 ? worker.report : reportOf(worker);
  }

  function reportOf(worker: Worker): WorkerLoad {
    const ahead = worker.running.map(({ job, estimate, startedAtS }) => {
      const done = (now - startedAtS) * worker.speed;
      return estimates === "known" ? job.work - done : remainingCompute(estimate, done);
    });
    return {
      v: 1,
      worker_id: worker.id,
      capacity: worker.slots,
      active_jobs: worker.running.length,
      queued_compute_seconds: ahead.reduce((sum, seconds) => sum + seconds, 0),
      speed: worker.speed,
      draining: worker.draining,
      reported_at_ms: now * 1000,
      ttl_ms: Math.max(3000, reportEveryS * 3000),
    };
  }
}

function shapeOf({ kind, audioSeconds }: SimulatedJob) {
  return { kind, parts: [], model: "simulated", audioSeconds };
}

function insert<T>(sorted: T[], item: T, compare: (a: T, b: T) => number): void {
  let low = 0;
  for (let high = sorted.length; low < high;) {
    const middle = (low + high) >> 1;
    if (compare(sorted[middle]!, item) <= 0) low = middle + 1;
    else high = middle;
  }
  sorted.splice(low, 0, item);
}

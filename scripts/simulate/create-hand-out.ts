import type { Assignable } from "../../shared/policies/assign.ts";
import { leastConnections, roundRobin, weightedRoundRobin } from "../../shared/policies/assign.ts";
import type { WaitingJob } from "../../shared/policies/claim.ts";
import { chooseJob, compareDue, DEFAULT_PATIENCE } from "../../shared/policies/claim.ts";
import { expectedWaitS } from "../../shared/policies/region-load.ts";
import type { Claimed, Course, SimulatedPool, SimulatedWorker } from "./course.ts";
import type { Knowledge } from "./create-knowledge.ts";
import type { Workers } from "./create-workers.ts";
import type { SimulatedJob } from "./make-workload.ts";

/** A claim looks at so many jobs at most, as a queue would offer them. */
const WINDOW = 64;

/** How jobs come to regions and workers, and leave them. */
export function createHandOut(course: Course, knowledge: Knowledge, workers: Workers) {
  const { options } = course;
  const { policy } = options;
  const inOrder = compareDue(
    policy.by === "claiming" ? (policy.options.patience ?? DEFAULT_PATIENCE) : 0,
  );
  const waitingJobs = new Map<string, SimulatedJob>();

  function arrive(job: SimulatedJob): void {
    const pool = course.pools[chooseRegion(job)]!;
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
      queuedAtMs: course.nowS * 1000,
      computeSeconds: knowledge.estimateOf(job),
    };
    waitingJobs.set(job.id, job);
    insert(pool.waiting, waiting, inOrder);
    pool.waitingCompute += waiting.computeSeconds;
    wakeAll(pool);
  }

  function chooseRegion(job: SimulatedJob): number {
    if (course.pools.length === 1) return 0;
    if (options.route !== "expected-wait") return job.home;
    const cost = (pool: SimulatedPool) =>
      (options.roundTripS?.(job.home, pool.index) ?? 0) +
      (expectedWaitS(
        pool.workers.map((worker) => knowledge.seen(worker)),
        pool.waitingCompute,
        course.nowS * 1000,
      ) ?? Infinity);
    let best = job.home;
    let least = cost(course.pools[best]!);
    for (const pool of course.pools) {
      const value = cost(pool);
      if (value < least) {
        least = value;
        best = pool.index;
      }
    }
    return best;
  }

  function assignIn(pool: SimulatedPool): number {
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

  function beginQueued(pool: SimulatedPool, worker: SimulatedWorker): void {
    while (worker.running.length < worker.slots) {
      const job = worker.queue.shift();
      if (!job) return;
      begin(pool, worker, job, job.work);
    }
  }

  function begin(
    pool: SimulatedPool,
    worker: SimulatedWorker,
    job: SimulatedJob,
    estimate: number,
  ): void {
    workers.countUse(pool);
    const run = { job, estimate, startedAtS: course.nowS };
    worker.running.push(run);
    course.agenda.add(course.nowS + job.work / worker.speed, { type: "end", pool, worker, run });
  }

  function end(pool: SimulatedPool, worker: SimulatedWorker, run: Claimed): void {
    workers.countUse(pool);
    worker.running.splice(worker.running.indexOf(run), 1);
    const { job, startedAtS } = run;
    course.result.ends.push({
      job,
      region: pool.index,
      worker: worker.id,
      speed: worker.speed,
      startedAtS,
      endedAtS: course.nowS,
    });
    course.result.done += job.work;
    const comingS = Math.max(0, Math.min(course.nowS, course.lastArrivalS) - startedAtS);
    course.result.doneWhileComing += comingS * worker.speed;
    knowledge.learn(run, worker.speed);
    if (worker.draining && worker.running.length === 0) workers.remove(pool, worker);
    else if (policy.by === "assigning") beginQueued(pool, worker);
    else wake(pool, worker);
  }

  /** Whoever has room asks, in no order: in a region they race. */
  function wakeAll(pool: SimulatedPool): void {
    const able = pool.workers.filter(
      ({ running, slots, draining }) => !draining && running.length < slots,
    );
    for (let i = able.length - 1; i >= 0; i -= 1) {
      const j = Math.floor(course.random.next() * (i + 1));
      const worker = able[j]!;
      able[j] = able[i]!;
      wake(pool, worker);
    }
  }

  function wake(pool: SimulatedPool, worker: SimulatedWorker): void {
    if (worker.asksAtS !== undefined && worker.asksAtS <= course.nowS) return;
    worker.asksAtS = course.nowS;
    course.agenda.add(course.nowS, { type: "ask", pool, worker });
  }

  function ask(pool: SimulatedPool, worker: SimulatedWorker): void {
    if (policy.by !== "claiming") return;
    const choice = chooseJob(
      {
        nowMs: course.nowS * 1000,
        worker: knowledge.reportOf(worker),
        others: pool.workers
          .filter((other) => other !== worker)
          .map((other) => knowledge.seen(other)),
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
      worker.asksAtS = course.nowS + Math.max(0.001, choice.askAgainInMs / 1000);
      course.agenda.add(worker.asksAtS, { type: "ask", pool, worker });
    }
  }

  return { arrive, end, wake, ask };
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

import type { Course, SimulatedPool, SimulatedWorker } from "./course.ts";
import type { Knowledge } from "./create-knowledge.ts";

export type Workers = ReturnType<typeof createWorkers>;

/** Workers that come and go, and how much of them is used. */
export function createWorkers(course: Course, knowledge: Knowledge) {
  const { policy, reportEveryS = 0 } = course.options;

  function add(pool: SimulatedPool, speed: number, slots: number): SimulatedWorker {
    countUse(pool);
    const worker: SimulatedWorker = {
      id: `${pool.id}-${(pool.created += 1)}`,
      speed,
      slots,
      running: [],
      queue: [],
      given: 0,
      report: undefined as never,
      fromS: course.nowS,
      draining: false,
      asksAtS: undefined,
    };
    worker.report = knowledge.reportOf(worker);
    pool.workers.push(worker);
    if (reportEveryS > 0 && policy.by === "claiming") {
      course.agenda.add(course.nowS + course.random.next() * reportEveryS, {
        type: "report",
        pool,
        worker,
      });
    }
    return worker;
  }

  function remove(pool: SimulatedPool, worker: SimulatedWorker): void {
    countUse(pool);
    pool.workers.splice(pool.workers.indexOf(worker), 1);
    retire(worker);
  }

  /** It counts no longer from now on. */
  function retire({ fromS, speed, slots }: SimulatedWorker): void {
    course.result.workerSeconds += course.nowS - fromS;
    course.result.possible += (course.nowS - fromS) * speed * slots;
    course.result.possibleWhileComing +=
      Math.max(0, Math.min(course.nowS, course.lastArrivalS) - fromS) * speed * slots;
  }

  /** Adds up use until now; before whatever changes it. */
  function countUse(pool: SimulatedPool): void {
    const forS = course.nowS - pool.lastUsedS;
    pool.lastUsedS = course.nowS;
    for (const { running, slots } of pool.workers) {
      pool.used += forS * running.length;
      pool.usable += forS * slots;
    }
  }

  return { add, remove, retire, countUse };
}

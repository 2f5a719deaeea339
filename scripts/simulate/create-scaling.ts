import { scalePool } from "../../shared/policies/scale.ts";
import type { Course, SimulatedPool, SimulatedWorker } from "./course.ts";
import type { Workers } from "./create-workers.ts";
import type { SimulatedScaling } from "./simulation.ts";

/** Seconds between looks at a pool. */
export const SCALE_EVERY_S = 10;
/** Use is a mean over about so long. */
const USE_OVER_S = 60;

/** Pools that grow and shrink; `wake` has a new worker ask for jobs. */
export function createScaling(
  course: Course,
  workers: Workers,
  wake: (pool: SimulatedPool, worker: SimulatedWorker) => void,
) {
  /** Looks at a pool, and orders what the policy decides. */
  function scale(pool: SimulatedPool, scaling: SimulatedScaling): void {
    workers.countUse(pool);
    const running = pool.workers.reduce((sum, worker) => sum + worker.running.length, 0);
    const decision = scalePool(
      scaling.rules,
      {
        nowMs: course.nowS * 1000,
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
    pool.used *= 1 - SCALE_EVERY_S / USE_OVER_S;
    pool.usable *= 1 - SCALE_EVERY_S / USE_OVER_S;
    if (decision.workers === pool.ordered) return;
    const { why } = decision;
    course.result.changes.push({
      atS: course.nowS,
      region: pool.id,
      from: pool.ordered,
      to: decision.workers,
      why,
    });
    for (let more = pool.ordered; more < decision.workers; more += 1) {
      const speed = scaling.speeds[pool.added % scaling.speeds.length]!;
      pool.added += 1;
      const warm = more - pool.ordered < decision.warm;
      course.agenda.add(course.nowS + (warm ? scaling.warmBootS : scaling.bootS), {
        type: "ready",
        pool,
        speed,
      });
    }
    // The idle go first, and of those the slow.
    const leaving = pool.workers
      .filter(({ draining }) => !draining)
      .toSorted((a, b) => a.running.length - b.running.length || a.speed - b.speed)
      .slice(0, Math.max(0, pool.ordered - decision.workers));
    for (const worker of leaving) {
      worker.draining = true;
      if (worker.running.length === 0) workers.remove(pool, worker);
    }
    pool.ordered = decision.workers;
    countOrdered();
  }

  /** A worker that was ordered is up. */
  function ready(pool: SimulatedPool, speed: number, scaling: SimulatedScaling): void {
    // The pool may have shrunk while it was on its way.
    const up = pool.workers.filter(({ draining }) => !draining).length;
    if (up < pool.ordered) wake(pool, workers.add(pool, speed, scaling.slots));
  }

  /** How many were ordered at once, at least and at most. */
  function countOrdered(): void {
    const count = course.pools.reduce((sum, { ordered }) => sum + ordered, 0);
    course.result.leastWorkers = Math.min(course.result.leastWorkers, count);
    course.result.mostWorkers = Math.max(course.result.mostWorkers, count);
  }

  return { scale, ready, countOrdered };
}

import type { WorkerLoad } from "../../shared/contracts/load-report.ts";
import type { ComputeHistory } from "../../shared/policies/compute-estimate.ts";
import {
  emptyHistory,
  estimateCompute,
  learnCompute,
  remainingCompute,
} from "../../shared/policies/compute-estimate.ts";
import type { Claimed, Course, SimulatedWorker } from "./course.ts";
import type { SimulatedJob } from "./make-workload.ts";

/** One guess for every job, where there are no estimates. */
const GUESS_S = 10;

export type Knowledge = ReturnType<typeof createKnowledge>;

/** What is known of jobs before they are run, and of workers by others. */
export function createKnowledge(course: Course) {
  const { estimates, reportEveryS = 0 } = course.options;
  let history: ComputeHistory = emptyHistory;

  /** A job was run; later estimates know of it, where they are learnt. */
  function learn({ job, startedAtS }: Claimed, speed: number): void {
    if (estimates !== "learnt") return;
    history = learnCompute(history, shapeOf(job), (course.nowS - startedAtS) * speed);
  }

  /** Compute-seconds. */
  function estimateOf(job: SimulatedJob): number {
    if (estimates === "known") return job.work;
    if (estimates === "none") return GUESS_S;
    return estimateCompute(history, shapeOf(job)).seconds;
  }

  /** What the others know of a worker: its last report. */
  function seen(worker: SimulatedWorker): WorkerLoad {
    return reportEveryS > 0 ? worker.report : reportOf(worker);
  }

  function reportOf(worker: SimulatedWorker): WorkerLoad {
    const ahead = worker.running.map(({ job, estimate, startedAtS }) => {
      const done = (course.nowS - startedAtS) * worker.speed;
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
      reported_at_ms: course.nowS * 1000,
      ttl_ms: Math.max(3000, reportEveryS * 3000),
    };
  }

  return { learn, estimateOf, seen, reportOf };
}

function shapeOf({ kind, audioSeconds }: SimulatedJob) {
  return { kind, parts: [], model: "simulated", audioSeconds };
}

import { priorities } from "../../shared/contracts/job.ts";
import { aggregateLoad } from "../../shared/policies/region-load.ts";
import { jobPool, scalePool, type BacklogRules } from "../../shared/policies/scale.ts";
import type { Metrics } from "../ops/metrics.ts";
import { repeat } from "../ops/repeat.ts";
import type { Queue } from "./queue-port.ts";

export interface WatchLoadOptions {
  region: string;
  queue: Pick<Queue, "load" | "workers">;
  metrics: Metrics;
  rules?: BacklogRules;
  everyMs?: number;
  onError?: (error: unknown) => void;
}

/** What is in use counts as a mean over about this long. */
const MEAN_OVER_MS = 60_000;

/**
 * Shows what waits in a region, who works there, and how many workers there should be (`shared/policies/scale.ts`): whoever starts
 * and stops workers goes by `antiphon_workers_desired`. One process of a region does this.
 */
export function createWatchLoad(options: WatchLoadOptions) {
  const { region, queue, metrics, rules = jobPool, everyMs = 5000, onError } = options;
  const jobs = metrics.gauge("antiphon_queue_jobs", "Jobs that no worker has claimed.");
  const compute = metrics.gauge("antiphon_queue_compute_seconds", "Their work, as estimated.");
  const oldest = metrics.gauge("antiphon_queue_oldest_wait_seconds", "Age of the oldest of them.");
  const wait = metrics.gauge(
    "antiphon_expected_wait_seconds",
    "Until a job that comes now would begin; NaN while nobody works.",
  );
  const delayed = metrics.gauge("antiphon_queue_delayed_jobs", "Jobs that are not to start yet.");
  const newer = metrics.gauge(
    "antiphon_queue_newer_jobs",
    "Jobs that wait for workers of a newer version.",
  );
  const dead = metrics.gauge("antiphon_dead_letters", "Jobs that an operator should look into.");
  const ready = metrics.gauge("antiphon_workers", "Workers that take jobs.");
  const slots = metrics.gauge("antiphon_worker_slots", "Jobs that they may run at once.");
  const room = metrics.gauge("antiphon_worker_slots_free", "How many more they would take now.");
  const desired = metrics.gauge("antiphon_workers_desired", "Workers that there should be.");
  let asked: number | undefined;
  let state = {};
  let utilization: number | undefined;

  async function look(): Promise<void> {
    const [load, { nowMs, workers }] = await Promise.all([queue.load(), queue.workers()]);
    const report = aggregateLoad({ region, nowMs, workers, waiting: load.classes });
    for (const priority of priorities) {
      const of = { class: priority };
      const waiting = load.classes[priority];
      jobs.set(waiting.jobs, of);
      compute.set(waiting.computeS, of);
      oldest.set(waiting.oldestWaitMs / 1000, of);
      const expected = report.expected_wait_s[priority];
      wait.set(expected ?? Number.NaN, of);
    }
    delayed.set(load.delayed);
    dead.set(load.dead);
    newer.set(load.newer);
    ready.set(report.workers);
    slots.set(report.capacity);
    room.set(
      workers
        .filter(({ draining }) => !draining)
        .reduce((sum, { capacity, active_jobs }) => sum + Math.max(0, capacity - active_jobs), 0),
    );

    const inUse = report.capacity === 0 ? 0 : Math.min(1, load.running / report.capacity);
    const share = Math.min(1, everyMs / MEAN_OVER_MS);
    utilization = (utilization ?? inUse) + share * (inUse - (utilization ?? inUse));
    // What was asked for before may still be on its way.
    asked ??= report.workers;
    const decision = scalePool(
      rules,
      {
        nowMs,
        workers: asked,
        ready: Math.min(asked, report.workers),
        waiting: load.waiting,
        running: load.running,
        utilization,
      },
      state,
    );
    asked = decision.workers;
    ({ state } = decision);
    desired.set(asked);
  }

  return {
    look,
    /** Looks now and then, until the signal is aborted. */
    run: (signal: AbortSignal) =>
      repeat(look, { everyMs, signal, onError: onError ?? (() => undefined) }),
  };
}

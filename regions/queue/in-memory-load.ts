import { priorities, type Priority } from "../../shared/contracts/job.ts";
import type { WorkerLoad } from "../../shared/contracts/load-report.ts";
import type { InMemoryEntry } from "./in-memory-entry.ts";
import { classOf } from "./lanes.ts";
import type { ClassLoad, Queue, QueueLoad } from "./queue-port.ts";

/** What waits and runs among jobs; those that `isHeld` wait for a slot of their tenant's. */
export function measureLoad(
  all: readonly InMemoryEntry[],
  isHeld: (entry: InMemoryEntry) => boolean,
  nowMs: number,
): Omit<QueueLoad, "dead" | "newer"> {
  const waiting = all.filter(({ status, dueMs }) => status === "queued" && dueMs === undefined);
  const classes = Object.fromEntries(
    priorities.map((priority): [Priority, ClassLoad] => {
      const own = waiting.filter(({ lane }) => classOf(lane) === priority);
      const ages = own.filter((entry) => !isHeld(entry)).map(({ atMs }) => nowMs - atMs);
      const cost = own.reduce((sum, entry) => sum + entry.cost, 0);
      return [
        priority,
        { jobs: own.length, computeS: cost / 1000, oldestWaitMs: Math.max(0, ...ages) },
      ];
    }),
  ) as Record<Priority, ClassLoad>;
  return {
    waiting: waiting.length,
    computeS: waiting.reduce((sum, { cost }) => sum + cost, 0) / 1000,
    running: all.filter(({ status }) => status === "running").length,
    delayed: all.filter(({ dueMs }) => dueMs !== undefined).length,
    classes,
  };
}

/** What workers last said of themselves, for as long as it holds. */
export function createInMemoryReports(now: () => number): Pick<Queue, "reportLoad" | "workers"> {
  const reports = new Map<string, { report: WorkerLoad; untilMs: number }>();
  return {
    async reportLoad(report) {
      reports.set(report.worker_id, {
        report: { ...report, reported_at_ms: now() },
        untilMs: now() + report.ttl_ms,
      });
    },
    async workers() {
      for (const [id, { untilMs }] of reports) if (untilMs <= now()) reports.delete(id);
      const workers = [...reports.values()].map(({ report }) => report);
      return {
        nowMs: now(),
        workers: workers.toSorted((a, b) => (a.worker_id < b.worker_id ? -1 : 1)),
      };
    },
  };
}

import { priorities, type Priority } from "../../shared/contracts/job.ts";
import { classOf, lanes } from "./lanes.ts";
import { DEFAULT_ESTIMATE_S, type ClassLoad, type QueueLoad } from "./queue-port.ts";
import type { SqsCalls } from "./sqs-calls.ts";

/** What waits and runs, about: SQS counts messages, and knows neither their work nor, in one call, their age. */
export async function countLoad(calls: SqsCalls): Promise<QueueLoad> {
  const [dead, ...counts] = await Promise.all([
    calls.count("dead"),
    ...lanes.map((_, index) => calls.count(index + 1)),
  ]);
  const sum = (of: keyof typeof dead) => counts.reduce((all, count) => all + count[of], 0);
  const classes = Object.fromEntries(
    priorities.map((priority): [Priority, ClassLoad] => {
      const own = counts.filter((_, index) => classOf(index + 1) === priority);
      const jobs = own.reduce((all, { visible }) => all + visible, 0);
      return [priority, { jobs, computeS: jobs * DEFAULT_ESTIMATE_S, oldestWaitMs: 0 }];
    }),
  ) as Record<Priority, ClassLoad>;
  return {
    waiting: sum("visible"),
    computeS: sum("visible") * DEFAULT_ESTIMATE_S,
    running: sum("hidden"),
    delayed: sum("delayed"),
    dead: dead.visible + dead.hidden + dead.delayed,
    newer: 0,
    classes,
  };
}

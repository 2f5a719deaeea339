import { z } from "zod";
import type { JobSpec } from "../../shared/contracts/job.ts";
import {
  emptyJobHistory,
  estimateJob,
  learnJob,
  type JobHistory,
  type ObservedJob,
  type UploadFacts,
} from "../../shared/policies/job-estimate.ts";
import { repeat } from "../ops/repeat.ts";
import type { Redis } from "./redis.ts";
import { resultKeys } from "./result-keys.ts";
import { define } from "./scripts.ts";

export interface JobHistoryStore {
  /** Expected compute-seconds of a job, by what was known some seconds ago; never waits. */
  estimateS(spec: JobSpec, upload: UploadFacts): number;
  /** Tells of a run that ended, for all workers and the API to learn from. */
  observe(spec: JobSpec, job: ObservedJob): void;
  /** Takes in what others have learnt, and adds what was observed here, now and then until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** Does that now. Settles to whether all that was observed is in. */
  exchange(): Promise<boolean>;
}

export interface JobHistoryOptions {
  redis: Redis;
  everyMs?: number;
  onError?: (error: unknown) => void;
}

/** What a process has observed and could not tell yet; of more, the oldest go. */
const MOST_PENDING = 1000;
const TRIES = 5;

const Stats = z.record(
  z.string(),
  z.strictObject({ weight: z.number(), meanLog: z.number(), varianceLog: z.number() }),
);
const History = z.strictObject({ rates: Stats, lengths: Stats });
const Stored = z.strictObject({ compute: History, audio: History });

/** One history of a region's jobs, kept in Redis as one value that is replaced only by what was made from it. */
export function createJobHistory(options: JobHistoryOptions): JobHistoryStore {
  const { redis, everyMs = 5000, onError = () => undefined } = options;
  const replace = define(redis, "replace-history", 1);
  let history: JobHistory = emptyJobHistory;
  let pending: { spec: JobSpec; job: ObservedJob }[] = [];

  async function read(): Promise<string> {
    const [version, json] = await redis.hmget(resultKeys.history, "v", "json");
    history = parse(json ?? null);
    return version ?? "0";
  }

  async function exchange(): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      const version = await read();
      const told = pending;
      if (told.length === 0) return true;
      const learnt = told.reduce((from, { spec, job }) => learnJob(from, spec, job), history);
      if ((await replace(resultKeys.history, version, JSON.stringify(learnt))) === 1) {
        history = learnt;
        pending = pending.filter((one) => !told.includes(one));
        return true;
      }
    }
    return false;
  }

  return {
    estimateS: (spec, upload) => estimateJob(history, spec, upload),
    observe(spec, job) {
      pending.push({ spec, job });
      if (pending.length > MOST_PENDING) pending.shift();
    },
    exchange,
    run: (signal) => repeat(exchange, { everyMs, signal, onError }),
  };
}

/** What cannot be read is learnt anew: it is worth no more than better guesses. */
function parse(json: string | null): JobHistory {
  try {
    return Stored.safeParse(JSON.parse(json ?? "null")).data ?? emptyJobHistory;
  } catch {
    return emptyJobHistory;
  }
}

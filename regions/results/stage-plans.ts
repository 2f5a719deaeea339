import { z } from "zod";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { UnavailablePart } from "../../shared/contracts/analysis-result.ts";
import { type StageName, type StagePlan } from "../../shared/contracts/stages.ts";
import type { Redis } from "./redis.ts";
import { stageKeys } from "./stage-keys.ts";

/** What decides what a job's stages are made with. */
export type PlannedJob = Pick<JobSpec, "parts" | "language" | "model">;

/**
 * What the workers of a region would make each part with, told by them to its API: models are where workers are, and only
 * they know. The newest word counts.
 */
export interface StagePlans {
  publish(job: PlannedJob, plan: StagePlan): Promise<void>;
  /** The plan for a job, when workers have lately told of all of it. */
  read(job: PlannedJob): Promise<StagePlan | undefined>;
}

const Told = z.strictObject({
  at: z.number(),
  identity: z.string().optional(),
  unavailable: UnavailablePart.optional(),
});
type Told = z.infer<typeof Told>;

/** A word that is older than this does not count; workers repeat theirs well before. */
const GOOD_FOR_MS = 3_600_000;

export function createStagePlans({
  redis,
  now = Date.now,
}: {
  redis: Redis;
  /** Unix ms. */
  now?: () => number;
}): StagePlans {
  const stagesOf = ({ parts }: PlannedJob): StageName[] => ["decode", ...new Set(parts)];

  return {
    async publish(job, plan) {
      const told = stagesOf(job).map((stage): [string, string] => {
        const unavailable = stage === "decode" ? undefined : plan.unavailable[stage];
        const identity = plan.identities[stage];
        const word: Told = {
          at: now(),
          ...(identity === undefined ? {} : { identity }),
          ...(unavailable === undefined ? {} : { unavailable }),
        };
        return [fieldOf(stage, job), JSON.stringify(word)];
      });
      await redis
        .multi()
        .hset(stageKeys.plans, Object.fromEntries(told))
        .pexpire(stageKeys.plans, GOOD_FOR_MS)
        .exec();
    },

    async read(job) {
      const stages = stagesOf(job);
      const fields = stages.map((stage) => fieldOf(stage, job));
      const texts = await redis.hmget(stageKeys.plans, ...fields);
      const plan: StagePlan = { identities: {}, unavailable: {} };
      for (const [at, stage] of stages.entries()) {
        const word = Told.safeParse(JSON.parse(texts[at] ?? "null")).data;
        if (word === undefined || word.at + GOOD_FOR_MS <= now()) return undefined;
        if (word.identity !== undefined) plan.identities[stage] = word.identity;
        else if (stage === "decode" || word.unavailable === undefined) return undefined;
        else plan.unavailable[stage] = word.unavailable;
      }
      return plan;
    },
  };
}

/** A transcript is made with what was asked for; all else is made in one way. */
function fieldOf(stage: StageName, { language = "", model = "" }: PlannedJob): string {
  return stage === "transcript" ? `${stage} ${language} ${model}` : stage;
}

import { setTimeout as sleep } from "node:timers/promises";
import { findRegion } from "../../../shared/contracts/regions.ts";
import type { AwsCalls } from "./aws-calls.ts";
import { type AwsPlan, clusterOf, describeStep, planAwsSteps } from "./plan-steps.ts";

export interface AwsDrillOptions {
  fault: string;
  region: string;
  to?: string | undefined;
  holdMs: number;
  /** False: only says what would be done, and calls nothing that changes anything. */
  yes: boolean;
  calls: AwsCalls;
  signal: AbortSignal;
  say(line: string): void;
}

/**
 * Hurts a deployment on AWS, holds, and mends it; the mending is done also when it is broken off. Without `yes` it says the steps.
 * Load and judgement are those of the clients of that deployment: this inflicts alone.
 */
export async function runAwsDrill(options: AwsDrillOptions): Promise<AwsPlan> {
  const { fault, region, to, holdMs, yes, calls, signal, say } = options;
  const aws = findRegion(region)?.aws ?? "";
  const services = fault === "kill-primary" ? [] : await calls.services(aws, clusterOf(region));
  const plan = planAwsSteps(fault, region, { services, to });
  for (const step of plan.inflict) say(`  ${describeStep(step)}`);
  say(`  … ${holdMs / 1000} s …`);
  for (const step of plan.heal) say(`  ${describeStep(step)}`);
  for (const line of plan.by_hand) say(`  by hand: ${line}`);
  if (!yes) {
    say("Nothing was done: --yes does it.");
    return plan;
  }
  try {
    for (const step of plan.inflict) {
      await calls.perform(step);
      say(`done: ${describeStep(step)}`);
    }
    await sleep(holdMs, undefined, { signal }).catch(() => say("broken off: mending"));
  } finally {
    for (const step of plan.heal) {
      await calls.perform(step);
      say(`done: ${describeStep(step)}`);
    }
  }
  return plan;
}

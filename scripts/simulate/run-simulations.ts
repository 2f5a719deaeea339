import { regions, roundTripMs } from "../../shared/contracts/regions.ts";
import { batchPool, jobPool } from "../../shared/policies/scale.ts";
import { makeWorkload, meanOf } from "./make-workload.ts";
import type { SimulatedPolicy, SimulatedScaling, Simulation } from "./simulation.ts";
import { simulate } from "./simulate.ts";
import type { Figures } from "./summarise.ts";
import { mean, meanFigures, summarise, summariseEnds } from "./summarise.ts";

const policies = {
  ours: { by: "claiming", options: {} },
  "first-come": { by: "claiming", options: { patience: 0, leaveForMs: 0 } },
  "least-connections": { by: "assigning", rule: "least-connections", weighted: false },
  "weighted-least-connections": { by: "assigning", rule: "least-connections", weighted: true },
  "round-robin": { by: "assigning", rule: "round-robin", weighted: false },
  "weighted-round-robin": { by: "assigning", rule: "round-robin", weighted: true },
} satisfies Record<string, SimulatedPolicy>;
type PolicyName = keyof typeof policies;
export const policyNames = Object.keys(policies) as PolicyName[];

/** The command's options. */
export interface SimulateChoices {
  policy: PolicyName;
  compare: boolean;
  estimates: "learnt" | "known" | "none";
  jobs: number;
  seeds: number;
  seed: number;
  load: number;
  median: number;
  p95: number;
  residual: number;
  burst: number;
  regions: number;
  homeShare?: number;
  route: "nearest" | "expected-wait";
  speeds: number[];
  slots: number;
  reportEvery: number;
  scaling: "off" | "jobs" | "batch";
  boot: number;
  timeline: number;
}

export interface PolicyOutcome {
  policy: PolicyName;
  figures: Figures;
  regions: { id: string; jobs: number; fromElsewhere: number; meanS: number; p95S: number }[];
  /** Over all regions. */
  workers: { least: number; most: number; mean: number };
  /** Of the first seed. */
  timeline: Simulation["timeline"];
  changes: Simulation["changes"];
}

/** From the decision until a machine that was kept stopped and prepared takes jobs. */
const WARM_BOOT_S = 10;
const BURST = { burstS: 30, burstEveryS: 300 };

/** Every policy asked for, over the same jobs. */
export function runSimulations(choices: SimulateChoices): PolicyOutcome[] {
  const names = choices.compare ? policyNames : [choices.policy];
  return names.map((name) => outcomeOf(name, choices));
}

function outcomeOf(name: PolicyName, choices: SimulateChoices): PolicyOutcome {
  const { load, median, p95, speeds, slots, homeShare } = choices;
  const used = regions.slice(0, choices.regions);
  const others = used.length - 1;
  const homes = used.map((_, index) =>
    homeShare === undefined ? 1 : index === 0 ? homeShare : (1 - homeShare) / others,
  );
  const speed = speeds.reduce((sum, one) => sum + one, 0) * slots * used.length;
  const runs = Array.from({ length: choices.seeds }, (_, index) => {
    const seed = choices.seed + index;
    const jobs = makeWorkload({
      seed,
      jobs: choices.jobs,
      perSecond: (load * speed) / meanOf(median, p95),
      medianS: median,
      p95S: p95,
      residual: choices.residual,
      burst: choices.burst,
      ...BURST,
      homes,
    });
    return simulate({
      jobs,
      regions: used.map(({ id }) => ({ id, workers: startingWorkers(choices) })),
      policy: policies[name],
      estimates: choices.estimates,
      reportEveryS: choices.reportEvery,
      seed,
      route: choices.route,
      roundTripS: (from, to) => roundTripMs(used[from]!, used[to]!) / 1000,
      scaling: scalingOf(choices),
      ...(index === 0 && choices.timeline > 0 ? { sampleEveryS: choices.timeline } : {}),
    });
  });
  return {
    policy: name,
    figures: meanFigures(runs.map(summarise)),
    regions: used.map(({ id }, index) => {
      const ends = runs.flatMap((run) => run.ends.filter(({ region }) => region === index));
      const { jobs, meanS, p95S } = summariseEnds(ends);
      const fromElsewhere = ends.filter(({ job }) => job.home !== index).length;
      return { id, jobs, fromElsewhere, meanS, p95S };
    }),
    workers: {
      least: Math.min(...runs.map(({ leastWorkers }) => leastWorkers)),
      most: Math.max(...runs.map(({ mostWorkers }) => mostWorkers)),
      mean: mean(runs.map(({ workerSeconds, lengthS }) => workerSeconds / lengthS)),
    },
    timeline: runs[0]!.timeline,
    changes: runs[0]!.changes,
  };
}

function startingWorkers({ scaling, speeds, slots }: SimulateChoices) {
  // A pool that may sleep is asleep when the first job comes.
  return scaling === "batch" ? [] : speeds.map((speed) => ({ speed, slots }));
}

function scalingOf({ scaling, speeds, slots, boot }: SimulateChoices) {
  if (scaling === "off") return undefined;
  const rules = scaling === "jobs" ? jobPool : batchPool;
  const warmBootS = Math.min(boot, WARM_BOOT_S);
  return { rules, speeds, slots, bootS: boot, warmBootS } satisfies SimulatedScaling;
}

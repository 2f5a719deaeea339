import type { SimulatedEstimates, SimulatedPolicy } from "../../scripts/simulate/simulation.ts";
import type { Figures } from "../../scripts/simulate/summarise.ts";
import { mean, meanFigures, summarise } from "../../scripts/simulate/summarise.ts";
import { simulate } from "../../scripts/simulate/simulate.ts";
import { makeWorkload, meanOf } from "../../scripts/simulate/make-workload.ts";
import { preemptiveMeanS } from "../../scripts/simulate/preemptive-mean.ts";

const MEDIAN_S = 6;
const P95_S = 30;
const SPEEDS = [1, 1, 1, 1, 1.5, 1.5, 1.5, 1.5, 2.5, 2.5, 2.5, 2.5];
const TOTAL_SPEED = SPEEDS.reduce((sum, speed) => sum + speed, 0);
const LOAD = 0.85;
const SATURATED = 1.3;
const SEEDS = 20;
const JOBS = 1000;
/** Of an estimate: one standard deviation is a factor of 1.5 up or down. */
const RESIDUAL = 0.4;
/** The whole spread of the work: the length of the audio then says nothing of it. */
const NOTHING_KNOWN = Math.log(P95_S / MEDIAN_S) / 1.645;
const REPORT_EVERY_S = 1;

interface Case {
  policy: SimulatedPolicy;
  estimates: SimulatedEstimates;
  load?: number;
  residual?: number;
  reportEveryS?: number;
  jobs?: number;
}

const assigning = (
  rule: "round-robin" | "least-connections",
  weighted = false,
): SimulatedPolicy => ({ by: "assigning", rule, weighted });
const ours: Case = {
  policy: { by: "claiming", options: {} },
  estimates: "learnt",
  reportEveryS: REPORT_EVERY_S,
};
const roundRobin: Case = { policy: assigning("round-robin"), estimates: "none" };
const firstCome: Case = {
  policy: { by: "claiming", options: { patience: 0, leaveForMs: 0 } },
  estimates: "none",
};
/** The same rule with every duration known and no report ever old, by its best settings of these. */
const oracles: Case[] = [10, 1e6].flatMap((patience) =>
  [3, 6, 12].map((waitCost): Case => {
    const options = { patience, waitCost, leaveForMs: 1e9 };
    return { policy: { by: "claiming", options }, estimates: "known" };
  }),
);

const say = (line: string) => process.stdout.write(`${line}\n`);

/**
 * The claim rule of the workers over a fixed simulated workload, against balancers that hand jobs over as they come, and against an
 * oracle. Nothing is timed: equal code gives equal figures on every machine.
 */
export function benchRouting({ json }: { json: boolean }): void {
  const tell = json ? () => undefined : say;
  const row = (name: string, figures: Figures) =>
    tell(
      `${name.padEnd(52)} mean ${cell(figures.meanS)}  p95 ${cell(figures.p95S)}  worst ${cell(figures.worstS)}  ` +
        `in use ${figures.utilization.toFixed(2)}`,
    );
  const show = (name: string, of: Case) => {
    const figures = measure(of);
    row(name, figures);
    return figures;
  };

  tell(
    `${SEEDS} seeds of ${JOBS} jobs: log-normal work (median ${MEDIAN_S} s, p95 ${P95_S} s at speed 1), Poisson arrivals at a load of ${LOAD},`,
  );
  tell(
    `12 workers, four each of speed 1, 1.5 and 2.5. Seconds from arrival to end, means over the seeds.`,
  );
  tell(
    `Ours learns its estimates while it runs, from kind and length of audio; what they cannot know is log-normal with a deviation of`,
  );
  tell(
    `${RESIDUAL} (a factor of ${Math.exp(RESIDUAL).toFixed(1)}); what a worker knows of the others is up to ${REPORT_EVERY_S} s old.\n`,
  );
  const reference = show("round-robin", roundRobin);
  const weighted = show("round-robin, weighted by speed", {
    ...roundRobin,
    policy: assigning("round-robin", true),
  });
  const connections = show("least connections", {
    ...roundRobin,
    policy: assigning("least-connections"),
  });
  const weightedConnections = show("least connections, weighted by speed", {
    ...roundRobin,
    policy: assigning("least-connections", true),
  });
  const queue = show("one queue, first come, whoever is free", firstCome);
  const own = show("ours", ours);
  const oracle = oracles.map(measure).reduce((a, b) => (b.meanS < a.meanS ? b : a));
  row("oracle: every duration known", oracle);
  const preemptive = mean(
    seeds().map((seed) =>
      preemptiveMeanS(makeWorkload({ seed, jobs: JOBS, ...arrivals(LOAD) }), SPEEDS),
    ),
  );
  tell(
    `${"oracle that may also stop and move jobs".padEnd(52)} mean ${cell(preemptive)}  (shortest remaining on the fastest)`,
  );

  tell(`\nSaturated, at a load of ${SATURATED}:`);
  const saturatedReference = show("round-robin", { ...roundRobin, load: SATURATED });
  const saturated = show("ours", { ...ours, load: SATURATED });
  tell(
    `with the last jobs' end, when workers have nothing left to claim: ${saturatedReference.utilizationToTheEnd.toFixed(2)} and ${saturated.utilizationToTheEnd.toFixed(2)}`,
  );

  tell(`\nOurs, by what the estimates know:`);
  const none = show("no estimate at all", { ...ours, estimates: "none" });
  const unknowable = show("estimates that know nothing (all of the spread)", {
    ...ours,
    residual: NOTHING_KNOWN,
  });
  const poor = show("poor (deviation 0.7, a factor of 2)", { ...ours, residual: 0.7 });
  show(`fair (deviation ${RESIDUAL}): ours, as above`, ours);
  const good = show("good (deviation 0.2)", { ...ours, residual: 0.2 });
  const perfect = show("perfect", { ...ours, estimates: "known" });
  tell(`\nOurs, by the age of reports:`);
  const fresh = show("never old", { ...ours, reportEveryS: 0 });
  const old = show("up to 3 s", { ...ours, reportEveryS: 3 });
  tell(`\nOurs, by how much a second of waiting counts (6 is the default):`);
  for (const waitCost of [1, 4, 16, Infinity]) {
    show(String(waitCost), { ...ours, policy: { by: "claiming", options: { waitCost } } });
  }
  tell(
    `\nOurs to round-robin, by load and by jobs a seed (round-robin's slow workers get more than they can do, and it gets worse with time):`,
  );
  for (const load of [0.5, 0.7, LOAD, 0.95]) {
    tell(`load ${load}: ${ratios(measure({ ...ours, load }), measure({ ...roundRobin, load }))}`);
  }
  for (const jobs of [100, 300, JOBS, 3000]) {
    tell(`${jobs} jobs: ${ratios(measure({ ...ours, jobs }), measure({ ...roundRobin, jobs }))}`);
  }
  tell(
    `\nto round-robin ${ratios(own, reference)}; weighted ${ratios(own, weighted)}; least connections ${ratios(own, connections)}; ` +
      `weighted ${ratios(own, weightedConnections)}; one queue ${ratios(own, queue)}`,
  );
  tell(
    `to the oracle's mean ${ratio(own.meanS, oracle.meanS)}, to that of the one that moves jobs ${ratio(own.meanS, preemptive)}; ` +
      `in use when saturated ${saturated.utilization.toFixed(2)}`,
  );
  say(
    JSON.stringify({
      bench: "routing",
      unit: "mean seconds from arrival to end (less is better)",
      ours: round(own.meanS),
      reference: { name: "round-robin", value: round(reference.meanS) },
      limit: { name: "an oracle that knows every duration", value: round(oracle.meanS) },
      ratio_to_reference: ratio(own.meanS, reference.meanS),
      ratio_to_limit: ratio(own.meanS, oracle.meanS),
      p95_ratio_to_reference: ratio(own.p95S, reference.p95S),
      utilization_saturated: round(saturated.utilization),
      utilization_saturated_to_the_end: round(saturated.utilizationToTheEnd),
      ratio_to_preemptive_oracle: ratio(own.meanS, preemptive),
      ratio_to_weighted_round_robin: ratio(own.meanS, weighted.meanS),
      ratio_to_least_connections: ratio(own.meanS, connections.meanS),
      p95_ratio_to_least_connections: ratio(own.p95S, connections.p95S),
      ratio_to_one_queue: ratio(own.meanS, queue.meanS),
      estimates: { residual: RESIDUAL, learnt: true, reports_old_s: REPORT_EVERY_S },
      mean_by_estimates: {
        none: round(none.meanS),
        unknowable: round(unknowable.meanS),
        poor: round(poor.meanS),
        fair: round(own.meanS),
        good: round(good.meanS),
        perfect: round(perfect.meanS),
      },
      mean_by_reports_old_s: {
        0: round(fresh.meanS),
        [REPORT_EVERY_S]: round(own.meanS),
        3: round(old.meanS),
      },
      seeds: SEEDS,
      jobs: JOBS,
      load: LOAD,
    }),
  );
}

function measure(of: Case): Figures {
  const { policy, estimates, load = LOAD, residual = RESIDUAL, reportEveryS = 0, jobs = JOBS } = of;
  const regions = [{ id: "region", workers: SPEEDS.map((speed) => ({ speed, slots: 1 })) }];
  return meanFigures(
    seeds().map((seed) => {
      const made = makeWorkload({ seed, jobs, residual, ...arrivals(load) });
      return summarise(simulate({ jobs: made, regions, policy, estimates, reportEveryS, seed }));
    }),
  );
}

function arrivals(load: number) {
  const perSecond = (load * TOTAL_SPEED) / meanOf(MEDIAN_S, P95_S);
  return { perSecond, medianS: MEDIAN_S, p95S: P95_S };
}

function seeds(): number[] {
  return Array.from({ length: SEEDS }, (_, index) => index + 1);
}

function ratios(a: Figures, b: Figures): string {
  return `mean ${ratio(a.meanS, b.meanS)}, p95 ${ratio(a.p95S, b.p95S)}`;
}

function ratio(a: number, b: number): number {
  return round(a / b);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function cell(value: number): string {
  return value.toFixed(2).padStart(6);
}

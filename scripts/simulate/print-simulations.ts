import type { PolicyOutcome, SimulateChoices } from "./run-simulations.ts";

const say = (line: string) => process.stdout.write(`${line}\n`);
const BAR = 30;
const MOST_CHANGES = 40;

/** A table, the timeline of the first seed where asked for, and one JSON object as the last line. */
export function printSimulations(
  outcomes: readonly PolicyOutcome[],
  choices: SimulateChoices & { json: boolean },
): void {
  if (!choices.json) {
    for (const outcome of outcomes) printTimeline(outcome, choices);
    printTable(outcomes, choices);
    return;
  }
  say(
    JSON.stringify({
      simulate: {
        jobs: choices.jobs,
        seeds: choices.seeds,
        seed: choices.seed,
        load: choices.load,
        estimates: choices.estimates,
        scaling: choices.scaling,
        route: choices.route,
      },
      policies: outcomes.map(({ policy, figures, regions, workers, timeline, changes }) => ({
        policy,
        mean_s: round(figures.meanS),
        p50_s: round(figures.p50S),
        p95_s: round(figures.p95S),
        p99_s: round(figures.p99S),
        worst_s: round(figures.worstS),
        mean_wait_s: round(figures.meanWaitS),
        utilization: round(figures.utilization),
        utilization_to_the_end: round(figures.utilizationToTheEnd),
        workers: { ...workers, mean: round(workers.mean) },
        regions: regions.map(({ id, jobs, fromElsewhere, meanS, p95S }) => ({
          region: id,
          jobs,
          from_elsewhere: fromElsewhere,
          mean_s: round(meanS),
          p95_s: round(p95S),
        })),
        ...(choices.timeline > 0
          ? {
              timeline: timeline.map(({ atS, ...rest }) => ({ at_s: round(atS), ...rest })),
              scaling: changes.map(({ atS, ...rest }) => ({ at_s: round(atS), ...rest })),
            }
          : {}),
      })),
    }),
  );
}

function printTable(outcomes: readonly PolicyOutcome[], choices: SimulateChoices): void {
  const { jobs, seeds, load, median, p95, residual, estimates } = choices;
  say(
    `${seeds} x ${jobs} jobs at a load of ${load}; work log-normal, median ${median} s, p95 ${p95} s; estimates ${estimates}, residual ${residual}`,
  );
  say("seconds from arrival to end; means over the seeds\n");
  say(
    `${"policy".padEnd(28)}${["mean", "p50", "p95", "p99", "worst", "wait", "in use", "workers"].map((name) => name.padStart(9)).join("")}`,
  );
  for (const { policy, figures: f, workers } of outcomes) {
    const cells = [f.meanS, f.p50S, f.p95S, f.p99S, f.worstS, f.meanWaitS].map(fixed);
    say(
      `${policy.padEnd(28)}${cells.join("")}${percent(f.utilization)}${workers.mean.toFixed(1).padStart(9)}`,
    );
  }
  if (choices.regions > 1) {
    say(
      `\n${"region".padEnd(28)}${["jobs", "foreign", "mean", "p95"].map((name) => name.padStart(9)).join("")}`,
    );
    for (const { policy, regions } of outcomes) {
      for (const { id, jobs: count, fromElsewhere, meanS, p95S } of regions) {
        const name = outcomes.length > 1 ? `${policy} ${id}` : id;
        say(
          `${name.padEnd(28)}${String(count).padStart(9)}${String(fromElsewhere).padStart(9)}${fixed(meanS)}${fixed(p95S)}`,
        );
      }
    }
  }
  if (choices.scaling !== "off") {
    for (const { workers } of outcomes) {
      say(
        `\nworkers: from ${workers.least} to ${workers.most}, ${workers.mean.toFixed(1)} at a mean`,
      );
    }
  }
}

function printTimeline({ policy, timeline, changes }: PolicyOutcome, choices: SimulateChoices) {
  if (choices.timeline === 0) return;
  say(`${policy}, seed ${choices.seed}:`);
  say(
    `${"time".padStart(8)}  ${"region".padEnd(10)}${"waiting".padStart(8)}${"running".padStart(8)}${"workers".padStart(8)}`,
  );
  const most = Math.max(1, ...timeline.map(({ waiting }) => waiting));
  for (const { atS, region, waiting, running, workers } of timeline) {
    const bar = "#".repeat(Math.round((waiting / most) * BAR));
    say(
      `${clock(atS)}  ${region.padEnd(10)}${String(waiting).padStart(8)}${String(running).padStart(8)}${String(workers).padStart(8)}  ${bar}`,
    );
  }
  for (const { atS, region, from, to, why } of changes.slice(0, MOST_CHANGES)) {
    say(`${clock(atS)}  ${region}: ${from} → ${to} workers (${why})`);
  }
  if (changes.length > MOST_CHANGES) say(`… and ${changes.length - MOST_CHANGES} more changes`);
  say("");
}

function clock(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`.padStart(8);
}

function fixed(value: number): string {
  return value.toFixed(2).padStart(9);
}

function percent(value: number): string {
  return `${(value * 100).toFixed(1)} %`.padStart(9);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

import { Command, InvalidArgumentError, Option } from "commander";
import { regions } from "../../shared/contracts/regions.ts";
import { policyNames, runSimulations } from "./run-simulations.ts";
import type { SimulateChoices } from "./run-simulations.ts";
import { printSimulations } from "./print-simulations.ts";

/* `npm run simulate -- …`: workers, regions and scaling under any load, with the policies that the planet itself runs. */

// `… | head` is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

function number(least: number, most: number, whole = false) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() === "" || !(value >= least && value <= most) || (whole && value % 1 !== 0)) {
      throw new InvalidArgumentError(
        `a ${whole ? "whole " : ""}number from ${least} to ${most}, please`,
      );
    }
    return value;
  };
}

function speeds(text: string): number[] {
  const one = number(0.01, 100);
  const list = text.split(",").map(one);
  if (list.length > 1000) throw new InvalidArgumentError("at most 1000 workers, please");
  return list;
}

const program = new Command("simulate")
  .description(
    "Jobs, workers and regions in simulated time, with the policies that the planet itself runs. The same options and seed " +
      "always give the same figures.",
  )
  .addOption(
    new Option("--policy <name>", "how jobs come to workers; several may be compared")
      .choices(policyNames)
      .default("ours"),
  )
  .option("--compare", "run every policy over the same jobs", false)
  .addOption(
    new Option(
      "--estimates <how>",
      "of compute-seconds: learnt while it runs, the truth, one guess",
    )
      .choices(["learnt", "known", "none"])
      .default("learnt"),
  )
  .option("--jobs <n>", "jobs a seed", number(1, 200_000, true), 2000)
  .option("--seeds <n>", "how often, each with other jobs", number(1, 200, true), 5)
  .option("--seed <n>", "the first of them", number(1, 1_000_000, true), 1)
  .option("--load <share>", "of all that the workers of the start can do", number(0.01, 10), 0.85)
  .option("--median <s>", "compute-seconds of the middle job", number(0.001, 10_000), 6)
  .option("--p95 <s>", "compute-seconds that one job in twenty exceeds", number(0.001, 100_000), 30)
  .option(
    "--residual <sigma>",
    "what estimates cannot know: deviation of a logarithm",
    number(0, 5),
    0.4,
  )
  .option("--burst <times>", "a tenth of the time, so many times the mean rate", number(1, 10), 1)
  .option(
    "--regions <n>",
    `of ${regions.length}, each with these workers`,
    number(1, regions.length, true),
    1,
  )
  .option(
    "--home-share <share>",
    "share of the clients who are nearest to the first region",
    number(0, 1),
  )
  .addOption(
    new Option("--route <rule>", "which region takes a job")
      .choices(["nearest", "expected-wait"])
      .default("nearest"),
  )
  .option(
    "--speeds <list>",
    "one worker for each, by comma",
    speeds,
    [1, 1, 1, 1, 1.5, 1.5, 1.5, 1.5, 2.5, 2.5, 2.5, 2.5],
  )
  .option("--slots <n>", "jobs that a worker runs at once", number(1, 100, true), 1)
  .option("--report-every <s>", "age of what workers know of each other; 0: none", number(0, 60), 1)
  .addOption(
    new Option(
      "--scaling <pool>",
      "let the pool grow and shrink: as one of jobs, or as one that may sleep",
    )
      .choices(["off", "jobs", "batch"])
      .default("off"),
  )
  .option("--boot <s>", "until a new worker claims jobs", number(0, 3600), 90)
  .option(
    "--timeline <s>",
    "seconds a line of the timeline of the first seed; 0: none",
    number(0, 86_400),
    0,
  )
  .option("--json", "print only one JSON object", false)
  .showHelpAfterError("(--help lists the options)")
  .allowExcessArguments(false)
  .action((options: SimulateChoices & { json: boolean }) => {
    if (options.p95 <= options.median) {
      program.error(
        "error: --p95 must be more than --median: work is log-normal, and long for some.",
      );
    }
    if (options.scaling !== "off" && (options.compare || !isPulled(options.policy))) {
      program.error(
        "error: --scaling goes with policies by which workers claim (ours, first-come): what was handed to a worker cannot leave with it.",
      );
    }
    if (options.homeShare !== undefined && options.regions === 1) {
      program.error("error: --home-share needs --regions 2 or more.");
    }
    printSimulations(runSimulations(options), options);
  });

function isPulled(policy: string): boolean {
  return policy === "ours" || policy === "first-come";
}

program.parse();

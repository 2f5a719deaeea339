import { join } from "node:path";
import { Argument, Command, Option } from "commander";
import { regions } from "../../shared/contracts/regions.ts";
import { type Fault, faults, type FaultName } from "./faults.ts";
import { openPlanet } from "./planet-under-drill.ts";
import { kept, runDrill, summarize } from "./run-drill.ts";
import { writeReport } from "./write-report.ts";
import { positiveNumber } from "../positive-number.ts";

/* `npm run drill -- …`: hurts a planet under load, and judges by what clients were told whether its promises hold. */

const ROOT = join(import.meta.dirname, "../..");

interface Options {
  rounds: number;
  rate: number;
  hold?: number;
  settle: number;
  state: string;
  own: boolean;
  out?: string;
  target: "planet" | "aws";
  to?: string;
  yes: boolean;
  json: boolean;
}

const program = new Command("drill").description(
  "Hurts the planet under load, and judges by what clients were promised and shown. Uses the planet that runs, or one of its own.",
);

for (const name of Object.keys(faults) as FaultName[]) {
  program
    .command(name)
    .description(faults[name].does.replace("{region}", "REGION"))
    .addArgument(
      new Argument("[region]", "which region")
        .choices(regions.map(({ id }) => id))
        .default(regions[0]?.id),
    )
    .option("--rounds <n>", "how often", positiveNumber, 1)
    .option("--rate <n>", "new requests a second", positiveNumber, 2)
    .option("--hold <s>", "how long the fault lasts, seconds", positiveNumber)
    .option(
      "--settle <s>",
      "how long jobs may take to end afterwards, seconds",
      positiveNumber,
      180,
    )
    .option("--state <folder>", "of a planet that may run", join(ROOT, ".antiphon"))
    .option("--own", "start a planet for the drill, also when one runs", false)
    .option("--out <folder>", "where the report goes (default: drills/ in the planet's folder)")
    .addOption(
      new Option("--target <what>", "what is hurt: the planet, or a deployment on AWS")
        .choices(["planet", "aws"])
        .default("planet"),
    )
    .option("--to <region>", "on AWS: the region that is promoted when the primary is lost")
    .option("--yes", "on AWS: do it, instead of saying what would be done", false)
    .option("--json", "print only one JSON object", false)
    .action((region: string, options: Options) => drill(name, region, options));
}

async function drill(name: FaultName, region: string, options: Options): Promise<void> {
  const { rounds, rate, hold, settle, state, own, out, json } = options;
  const fault = faults[name];
  const say = (line: string) => void (json || process.stdout.write(`${line}\n`));
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => stop.abort(new Error(`told to stop by ${signal}`)));
  }
  const holdMs = hold === undefined ? fault.holdMs : hold * 1000;
  if (options.target === "aws") {
    const { to, yes } = options;
    // Loaded here: a drill of the planet needs no AWS SDK.
    const { createAwsCalls } = await import("./aws/aws-calls.ts");
    const { runAwsDrill } = await import("./aws/run-aws-drill.ts");
    const { signal } = stop;
    const calls = createAwsCalls({ signal });
    const plan = await runAwsDrill({ fault: name, region, to, holdMs, yes, calls, signal, say });
    const summary = { drill: name, region, target: "aws", done: yes, ...plan };
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  const startedAt = new Date();
  const { prepare }: Fault = fault;
  const planet = await openPlanet({
    stateDir: state,
    own: own || prepare !== undefined,
    ...(prepare ? { prepare: (folder: string) => prepare(folder, region) } : {}),
    workersPerRegion: 1,
    signal: stop.signal,
    say,
  });
  try {
    const reports = await runDrill({
      planet,
      region,
      fault,
      rounds,
      rate,
      holdMs,
      beforeMs: 6_000,
      afterMs: 6_000,
      settleMs: settle * 1000,
      signal: stop.signal,
      say,
    });
    const summary = summarize(name, region, reports);
    const whole = kept(summary, fault);
    const stamp = startedAt.toISOString().replaceAll(/[:.]/g, "-");
    const report = await writeReport({
      folder: out ?? join(state, "drills", `${stamp}-${name}-${region}`),
      summary,
      does: fault.does.replace("{region}", region),
      kept: whole,
      startedAt,
      reports,
    });
    say(`The report: ${report}`);
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    if (!whole) process.exitCode = 1;
  } finally {
    // A fault that was broken off must not stay in a planet that is not the drill's own.
    if (stop.signal.aborted) await fault.heal(planet, region).catch(() => undefined);
    await planet.close();
  }
}

await program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

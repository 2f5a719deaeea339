import { join } from "node:path";
import { Argument, Command, Option } from "commander";
import { SLOW_START_MS } from "../../shared/policies/route.ts";
import { regions } from "../../shared/contracts/regions.ts";
import { type Fault, faults, type FaultName } from "./faults.ts";
import { createOperator } from "./operator.ts";
import { openPlanet } from "./planet-under-drill.ts";
import { kept, runDrill, summarize } from "./run-drill.ts";
import { writeReport } from "./write-report.ts";
import { positiveNumber } from "../positive-number.ts";

/* `npm run drill -- …`: hurts a planet under load, and judges by what clients were told whether its promises hold. */

/** How long the load goes on after a fault; after one that took a region, until that takes its whole share again. Milliseconds. */
const AFTER_MS = 6_000;
const RETURN_MS = SLOW_START_MS + 12_000;

const ROOT = join(import.meta.dirname, "../..");

interface Options {
  rounds: number;
  rate: number;
  hold?: number;
  after?: number;
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
    .option("--after <s>", "how long the load goes on after its end, seconds", positiveNumber)
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
  const { rounds, rate, hold, after, settle, state, own, out, json } = options;
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
    clientsNear: region,
    signal: stop.signal,
    say,
  });
  let ended = false;
  try {
    const reports = await runDrill({
      planet,
      region,
      fault,
      rounds,
      rate,
      holdMs,
      beforeMs: 6_000,
      afterMs: after === undefined ? (fault.takesRegion ? RETURN_MS : AFTER_MS) : after * 1000,
      settleMs: settle * 1000,
      signal: stop.signal,
      say,
    });
    ended = true;
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
    // A drill that broke off must not leave its fault in a planet that is not its own.
    if (!ended) {
      const signal = AbortSignal.timeout(60_000);
      const operate = createOperator(planet.stateDir, { signal });
      await fault.heal(planet, region, { operate, signal }).catch(() => undefined);
    }
    await planet.close();
  }
}

await program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
// All is closed by now. Left to end by itself, Node has been seen to wait for ever for a socket that was reset.
process.exit();

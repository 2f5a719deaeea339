import { Command } from "commander";
import { runSoak, type SoakReport } from "./run-soak.ts";
import { positiveNumber } from "../positive-number.ts";

const program = new Command("soak")
  .description(
    "A mixed load on the queue while its workers, its keeper and Redis are killed and frozen at random; judged from outside.",
  )
  .option("--minutes <n>", "how long the load lasts", positiveNumber, 10)
  .option("--rate <n>", "jobs a second", positiveNumber, 80)
  .option("--disturb-every <ms>", "mean pause between two disturbances", positiveNumber, 3000)
  .option("--seed <n>", "of the load and the disturbances", Number, Date.now() % 1e6)
  .option("--json", "print only one JSON object", false)
  .parse();
const { minutes, rate, disturbEvery, seed, json } = program.opts<{
  minutes: number;
  rate: number;
  disturbEvery: number;
  seed: number;
  json: boolean;
}>();

const say = (line: string) => void (json || process.stdout.write(`${line}\n`));
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    say("stopping");
    stop.abort(new Error(`told to stop by ${signal}`));
  });
}

say(`${minutes} minutes at ${rate} jobs a second, seed ${seed}`);
let report: SoakReport | undefined;
try {
  const { signal } = stop;
  const disturbEveryMs = [disturbEvery / 3, (disturbEvery * 5) / 3] as const;
  report = await runSoak({ minutes, rate, seed, disturbEveryMs, signal, onProgress: say });
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
if (!report || report.interrupted) {
  process.exitCode = 130;
} else {
  const { lost, doubled, wrong, left } = report;
  for (const fault of [...lost, ...doubled, ...wrong, ...left].slice(0, 20)) say(fault);
  if (lost.length + doubled.length + wrong.length + left.length > 0) process.exitCode = 1;
}
process.stdout.write(`${JSON.stringify(summary(report))}\n`);

function summary(of: SoakReport | undefined) {
  const verdict = { 0: "passed", 1: "failed", 130: "interrupted" }[Number(process.exitCode ?? 0)];
  if (!of) return { soak: verdict, minutes, seed };
  const { accepted, finished, lost, doubled, wrong, left, kills, ends } = of;
  const round = ({ before, after }: { before: number; after: number }) => ({
    before: Math.round(before * 10) / 10,
    after: Math.round(after * 10) / 10,
  });
  return {
    soak: verdict,
    minutes,
    seed,
    accepted,
    finished,
    lost: lost.length,
    doubled: doubled.length,
    wrong: wrong.length,
    left,
    ends,
    kills,
    rss_mb: round(of.rssMb),
    heap_mb: round(of.heapMb),
    handles: of.handles,
    redis_keys: of.redisKeys,
    redis_mb: round(of.redisMb),
    load_average: Math.round(of.loadAverage * 100) / 100,
  };
}

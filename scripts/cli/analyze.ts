import { join } from "node:path";
import { AnalysisPart, type Priority } from "../../shared/contracts/job.ts";
import { analyzeFile } from "./analyze-file.ts";
import { connect, UsageError, type ConnectionOptions } from "./connection.ts";
import { writePlot } from "./plot/write-plot.ts";
import { renderJob } from "./render-job.ts";

/** The recording that ships with the project, so that a first result needs no file of one's own. */
const SAMPLE = join(import.meta.dirname, "../../samples/hello-antiphon.wav");

export interface AnalyzeOptions extends ConnectionOptions {
  json?: boolean;
  parts?: string;
  priority?: Priority;
  user?: string;
  multiRegion?: boolean;
  /** Where to write a drawing of the recording. */
  plot?: string;
}

/** Uploads a file, has it analysed, waits, and prints the result. Resolves to the exit code. */
export async function analyze(
  path: string | undefined,
  options: AnalyzeOptions,
  signal: AbortSignal,
) {
  const parts = options.parts?.split(",").map((part) => {
    const parsed = AnalysisPart.safeParse(part.trim());
    if (!parsed.success)
      throw new UsageError(`no such part: ${part} (there are ${AnalysisPart.options.join(", ")})`);
    return parsed.data;
  });
  const client = await connect(options);
  const { priority, user, multiRegion } = options;
  const job = await analyzeFile({
    client,
    path: path ?? SAMPLE,
    parts,
    priority,
    user,
    multiRegion,
    signal,
  });
  process.stdout.write(`${options.json ? JSON.stringify(job, null, 2) : renderJob(job)}\n`);
  if (options.plot !== undefined && job.result !== undefined) {
    await writePlot(path ?? SAMPLE, job.result, options.plot, signal);
    process.stderr.write(`drew ${options.plot}\n`);
  }
  return job.status === "succeeded" ? 0 : 1;
}

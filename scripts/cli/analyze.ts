import { basename, join } from "node:path";
import type { Job } from "../../shared/contracts/api.ts";
import { isFinal } from "../../shared/client/client.ts";
import { AnalysisPart, type Priority } from "../../shared/contracts/job.ts";
import { openAudioFile } from "./audio-file.ts";
import { connect, UsageError, type ConnectionOptions } from "./connection.ts";
import { createProgress } from "./progress.ts";
import { writePlot } from "./plot/write-plot.ts";
import { renderJob } from "./render-job.ts";

/** The recording that ships with the project, so that a first result needs no file of one's own. */
const SAMPLE = join(import.meta.dirname, "../../samples/hello-antiphon.wav");

export interface AnalyzeOptions extends ConnectionOptions {
  json?: boolean;
  parts?: string;
  priority?: Priority;
  user?: string;
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
  const file = await openAudioFile(path ?? SAMPLE);
  const progress = createProgress();
  let job: Job;
  try {
    const { contentType, bytes, sha256, blob } = file;
    progress.show("asking for an upload");
    const upload = await client.createUpload({ content_type: contentType, bytes, sha256 }, signal);
    progress.show(
      `uploading ${basename(path ?? SAMPLE)} (${(bytes / 1e6).toFixed(2)} MB) to ${upload.region}`,
    );
    await client.putUpload(upload, blob, signal);
    progress.show("creating the analysis");
    job = await client.createAnalysis(
      {
        upload_id: upload.upload_id,
        ...(parts ? { parts } : {}),
        ...(options.priority ? { priority: options.priority } : {}),
        ...(options.user ? { user_id: options.user } : {}),
      },
      signal,
    );
    const since = Date.now();
    job = await client.waitForJob(job.id, {
      signal,
      onUpdate: (seen) => {
        if (!isFinal(seen)) progress.show(`${describe(seen)}, ${seconds(since)} s`);
      },
    });
  } finally {
    progress.stop();
  }
  process.stdout.write(`${options.json ? JSON.stringify(job, null, 2) : renderJob(job)}\n`);
  if (options.plot !== undefined && job.result !== undefined) {
    await writePlot(path ?? SAMPLE, job.result, options.plot, signal);
    process.stderr.write(`drew ${options.plot}\n`);
  }
  return job.status === "succeeded" ? 0 : 1;
}

const seconds = (since: number) => Math.round((Date.now() - since) / 1000);

function describe(job: Job): string {
  const where = `${job.id} ${job.status} in ${job.region}`;
  if (job.waiting_for) return `${where}, waiting for ${job.waiting_for}`;
  if (job.progress !== undefined) return `${where}, ${Math.round(job.progress * 100)} %`;
  if (job.queue_position) return `${where}, ${job.queue_position} before it`;
  return where;
}

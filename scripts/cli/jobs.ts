import { connect, UsageError, type ConnectionOptions } from "./connection.ts";
import { renderJob } from "./render-job.ts";

export interface JobsOptions extends ConnectionOptions {
  json?: boolean;
  limit?: string;
  user?: string;
}

/** Stops a job, and prints it as it is then. */
export async function cancelJob(id: string | undefined, options: JobsOptions): Promise<number> {
  if (id === undefined) throw new UsageError("give the id of the job to cancel");
  const job = await (await connect(options)).cancelJob(id);
  const told = job.status === "canceled" ? "canceled" : "about to be canceled";
  process.stdout.write(options.json ? `${JSON.stringify(job, null, 2)}\n` : `${job.id} ${told}\n`);
  return 0;
}

/** Prints one job, or the newest ones. */
export async function jobs(id: string | undefined, options: JobsOptions): Promise<number> {
  const client = await connect(options);
  if (id) {
    const job = await client.getJob(id);
    process.stdout.write(`${options.json ? JSON.stringify(job, null, 2) : renderJob(job)}\n`);
    return 0;
  }
  const list = await client.listJobs({
    limit: Number(options.limit ?? 20),
    ...(options.user ? { user_id: options.user } : {}),
  });
  if (options.json) {
    process.stdout.write(`${JSON.stringify(list, null, 2)}\n`);
    return 0;
  }
  for (const job of list.data) {
    const duration =
      job.audio_duration_s === undefined ? "" : `${job.audio_duration_s.toFixed(1)} s`;
    const columns = [
      job.id,
      job.status.padEnd(9),
      job.region.padEnd(9),
      duration.padStart(8),
      job.created_at,
    ];
    process.stdout.write(`${columns.join("  ")}${job.error_code ? `  ${job.error_code}` : ""}\n`);
  }
  if (list.data.length === 0) process.stdout.write("no jobs yet\n");
  return 0;
}

import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { Batch } from "../../shared/contracts/batches.ts";
import type { CreateSpeechBatch } from "../../shared/contracts/batches.ts";
import { connect, UsageError, type ConnectionOptions } from "./connection.ts";
import { findFile } from "./find-file.ts";

export interface BatchesOptions extends ConnectionOptions {
  json?: boolean;
  deadline?: string;
  limit?: string;
  cursor?: string;
}

type Wanted = z.input<typeof CreateSpeechBatch>;

/** Sends a file of texts as one batch. Resolves to the exit code. */
export async function createBatch(
  path: string,
  options: BatchesOptions,
  signal: AbortSignal,
): Promise<number> {
  const { deadline } = options;
  const seconds = deadline === undefined ? undefined : Number(deadline);
  if (seconds !== undefined && !(seconds > 0)) {
    throw new UsageError("--deadline takes seconds");
  }
  const items = await readItems(path);
  const client = await connect(options);
  const accepted = await client.createSpeechBatch(
    { items, ...(seconds === undefined ? {} : { deadline_s: seconds }) },
    signal,
  );
  const { batch_id, job_ids } = accepted;
  const told = `${batch_id}: ${job_ids.length} items accepted\nnpm run antiphon -- batches show ${batch_id}`;
  process.stdout.write(`${options.json ? JSON.stringify(accepted) : told}\n`);
  return 0;
}

/** What is wrong with an item is for the API to say. */
async function readItems(path: string): Promise<Wanted["items"]> {
  await findFile(path);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`cannot read ${path} (${error.code})`);
  });
  if (!path.endsWith(".json")) {
    const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
    return lines.map((line) => ({ input: line }));
  }
  try {
    return z.array(z.unknown()).parse(JSON.parse(text)) as Wanted["items"];
  } catch {
    throw new UsageError(`${path} is not a JSON array of items`);
  }
}

/** Prints how a batch stands, and a page of its items. Resolves to the exit code. */
export async function showBatch(id: string, options: BatchesOptions): Promise<number> {
  const client = await connect(options);
  const { cursor } = options;
  const batch = await client.getBatch(id, {
    limit: Number(options.limit ?? 20),
    ...(cursor === undefined ? {} : { cursor }),
  });
  process.stdout.write(`${options.json ? JSON.stringify(batch, null, 2) : renderBatch(batch)}\n`);
  return 0;
}

function renderBatch({ id, status, counts, window, data, next_cursor }: Batch): string {
  const { total, open, succeeded, failed, canceled, deleted } = counts;
  const rest = [
    [failed, "failed"],
    [canceled, "canceled"],
    [deleted, "deleted"],
  ].flatMap(([count, name]) => (count === 0 ? [] : [`, ${count} ${name}`]));
  const lines = [
    `${id}  ${status}: ${succeeded} of ${total} succeeded, ${open} open${rest.join("")}`,
  ];
  if (window.expected_finish_at) {
    lines.push(`${status === "done" ? "done at" : "expected at"} ${window.expected_finish_at}`);
  }
  if (window.deadline_at) {
    lines.push(`deadline ${window.deadline_at}${window.at_risk ? ", at risk" : ""}`);
  }
  lines.push("");
  for (const entry of data) {
    const seconds = entry.duration_s === undefined ? "" : `${entry.duration_s.toFixed(1)} s`;
    const error = entry.error ? `  ${entry.error.code}: ${entry.error.detail}` : "";
    lines.push(
      `${String(entry.item).padStart(5)}  ${entry.job_id}  ${entry.status.padEnd(9)}  ${seconds.padStart(7)}${error}`,
    );
  }
  if (next_cursor !== null) lines.push(`more with --cursor ${next_cursor}`);
  return lines.join("\n");
}

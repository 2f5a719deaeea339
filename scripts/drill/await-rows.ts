import { setTimeout as sleep } from "node:timers/promises";
import type { Entry } from "./client-ledger.ts";
import type { JobRows } from "./judge.ts";
import { readRows } from "./read-rows.ts";

const PRIMARY_WITHIN_MS = 30_000;

/** Of those that were accepted. */
export const idsOf = (entries: readonly Entry[]): string[] =>
  entries.flatMap(({ accepted }) => (accepted ? [accepted.jobId] : []));

/** The rows of jobs as they are once a primary answers: one that has just been moved takes a moment. */
export async function rowsOnce(
  urls: readonly string[],
  jobIds: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, JobRows>> {
  const end = performance.now() + PRIMARY_WITHIN_MS;
  for (;;) {
    try {
      return await readRows(urls, jobIds);
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(500, undefined, { signal });
    }
  }
}

/** The rows of all that is final, once they are all there, or after so long at most. */
export async function settledRows(
  urls: readonly string[],
  entries: readonly Entry[],
  ms: number,
  signal: AbortSignal,
): Promise<Map<string, JobRows>> {
  const end = performance.now() + ms;
  const wanted = entries.filter(({ final }) => final).length;
  for (;;) {
    const rows = await readRows(urls, idsOf(entries)).catch(() => undefined);
    if (rows && (rows.size >= wanted || performance.now() >= end)) return rows;
    if (performance.now() >= end) return new Map();
    await sleep(500, undefined, { signal });
  }
}

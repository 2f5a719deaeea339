import { EVENT_BEAT_MS, JobChange } from "../../shared/contracts/job-events.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import type { Trace } from "../context.ts";
import type { StreamRegion } from "./stream-region.ts";

export interface WatchRegion {
  job: { id: string; tenant_id: string };
  /** Only what is newer. */
  afterVersion: number;
  trace: Trace;
  signal: AbortSignal;
}

const FIRST_BYTE_TIMEOUT_MS = 3_000;
/** A change is a few hundred characters. */
const MAX_LINE_CHARS = 16 * 1024;

/**
 * A job's changes as its region tells them; ends once the job has ended there. `job_not_found` and whatever else a region refuses with,
 * its silence and a line that is none of ours are thrown.
 */
export async function* watchRegion(
  streamRegion: StreamRegion,
  region: Region,
  { job, afterVersion, trace, signal }: WatchRegion,
): AsyncGenerator<JobChange, void> {
  const outcome = await streamRegion(region, {
    target: "/internal/jobs/events",
    body: { job_id: job.id, tenant_id: job.tenant_id, after_version: afterVersion },
    timeoutMs: FIRST_BYTE_TIMEOUT_MS,
    trace,
    signal,
  });
  if (outcome.kind !== "done") throw outcome.error;
  const reader = (outcome.response.body as ReadableStream<Uint8Array>).getReader();
  const leave = () => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", leave);
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await within(3 * EVENT_BEAT_MS, reader.read());
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      if (rest.length > MAX_LINE_CHARS) throw new Error("a line of changes is too long");
      const lines = rest.split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line !== "") yield JobChange.parse(JSON.parse(line));
    }
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
}

async function within<T>(ms: number, wanted: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([wanted, late]);
  } finally {
    clearTimeout(timer);
  }
}

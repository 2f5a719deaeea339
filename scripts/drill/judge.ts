import type { Entry } from "./client-ledger.ts";

/** What the database has of a job, counted. */
export interface JobRows {
  jobId: string;
  /** Rows of the table of jobs, and of that of results. */
  jobs: number;
  results: number;
  /** Rows of usage, and how many stages they are of: more rows than stages is a doubled effect. */
  usage: number;
  stages: number;
}

/** Of a round: the fault began at `faultMs`, and was mended at `healedMs`. */
export interface RoundFacts {
  entries: readonly Entry[];
  faultMs: number;
  healedMs: number;
  /** Rows of the accepted jobs at the end, by job. */
  rows: ReadonlyMap<string, JobRows>;
  /** Jobs whose rows had been committed before the fault. */
  committedBefore: ReadonlySet<string>;
  /** Webhooks that came: `webhook-id`s by job and event. */
  webhooks?: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface Verdict {
  accepted: number;
  /** Requests that their client gave up: refused, so nothing was promised. */
  refused: number;
  lost: string[];
  doubled: string[];
  /** Jobs that ended as failed: nothing was wrong with them but the fault. */
  failed: string[];
  /** Jobs that waited for a region or for audio, and came to their end. */
  waited: number;
  /** Jobs that ended under a later dispatch. */
  redispatched: number;
  /** Rows that had been committed, or were due, and are not there. */
  rpoRows: string[];
  /** Longest time in which a new request of a tenant that may go elsewhere was accepted after the fault; null when there was none. */
  rtoMs: number | null;
  /** Where that time went: the calls of that request, as text. */
  slowest: string[];
}

const tellCall = ({ what, tookMs, ok }: Entry["calls"][number]): string =>
  `${what} ${(tookMs / 1000).toFixed(1)} s${ok ? "" : ", failed"}`;

/** Judges a round by what clients were told and shown, and by the rows behind it. Pure. */
export function judge({
  entries,
  faultMs,
  healedMs,
  rows,
  committedBefore,
  webhooks,
}: RoundFacts): Verdict {
  const accepted = entries.filter((entry) => entry.accepted);
  const idOf = (entry: Entry) => entry.accepted!.jobId;
  const lost = accepted.filter((entry) => !entry.final).map(idOf);

  const doubled = accepted.flatMap((entry) => entry.contradictions);
  const seen = new Set<string>();
  for (const entry of accepted) {
    const id = idOf(entry);
    if (seen.has(id)) doubled.push(`${id}: promised to two requests`);
    seen.add(id);
  }
  for (const { jobId, jobs, results, usage, stages } of rows.values()) {
    if (jobs > 1) doubled.push(`${jobId}: ${jobs} rows of jobs`);
    if (results > 1) doubled.push(`${jobId}: ${results} rows of results`);
    if (usage > stages) doubled.push(`${jobId}: ${usage} rows of usage for ${stages} stages`);
  }
  for (const [event, ids] of webhooks ?? []) {
    if (ids.size > 1) doubled.push(`${event}: ${ids.size} webhook ids`);
  }

  const missing = new Set([...committedBefore].filter((id) => !rows.get(id)?.jobs));
  for (const entry of accepted) {
    if (entry.final && !rows.get(idOf(entry))?.jobs) missing.add(idOf(entry));
  }

  const during = entries.filter(
    ({ client, startedMs }) => client === "free" && startedMs >= faultMs && startedMs < healedMs,
  );
  const took = during.map(({ accepted: taken, startedMs, failures, calls }) => {
    // A request that was never accepted was without service until its last try.
    const until = taken?.atMs ?? failures.at(-1)?.atMs ?? healedMs;
    return { ms: until - startedMs, calls };
  });
  const slowest = took.toSorted((a, b) => b.ms - a.ms)[0];
  return {
    accepted: accepted.length,
    refused: entries.length - accepted.length,
    lost,
    doubled,
    failed: accepted.filter(({ final }) => final && final.status !== "succeeded").map(idOf),
    waited: accepted.filter(({ waitedFor, final }) => waitedFor.size > 0 && final).length,
    redispatched: accepted.filter(({ final }) => final && final.dispatch > 1).length,
    rpoRows: [...missing],
    rtoMs: slowest?.ms ?? null,
    slowest: slowest?.calls.map(tellCall) ?? [],
  };
}

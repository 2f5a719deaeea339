import type { Job } from "../../shared/contracts/api.ts";

/** Whose requests they are: `free` may go to any region, `bound` to one alone. */
export type ClientKind = "free" | "bound";

/** One thing that a client wanted done, and what it was told. Times in milliseconds of the drill's own clock. */
export interface Entry {
  client: ClientKind;
  startedMs: number;
  /** Tries that failed before it was accepted. */
  failures: { atMs: number; what: string }[];
  /** Each call that was made for it, with what it took: where a long wait went. */
  calls: { what: string; tookMs: number; ok: boolean }[];
  accepted?: { atMs: number; jobId: string; region: string };
  /** The first final state that the client was shown. */
  final?: Outcome & { atMs: number };
  /** Later answers that say another thing than the first final state. */
  contradictions: string[];
  /** What it was seen to wait for. */
  waitedFor: Set<"region" | "audio">;
  /** The highest dispatch that it was seen under while it was open, and when that was above 1 for the first time. */
  dispatch: number;
  redispatchedMs?: number;
}

/** What must never change once it was shown. */
export interface Outcome {
  status: string;
  dispatch: number;
  attempt: number;
  region: string;
}

/** What clients were promised and shown; all that a drill is judged by, beside the database's own rows. */
export interface ClientLedger {
  readonly entries: readonly Entry[];
  begin(client: ClientKind, atMs: number): Entry;
  /** Notes a job as the API showed it. */
  saw(entry: Entry, job: Job, atMs: number): void;
  /** Accepted and not yet seen final. */
  open(): Entry[];
}

const isFinal = (status: string): boolean => ["succeeded", "failed", "canceled"].includes(status);

export function createClientLedger(): ClientLedger {
  const entries: Entry[] = [];
  return {
    entries,
    begin(client, startedMs) {
      const entry: Entry = {
        client,
        startedMs,
        failures: [],
        calls: [],
        contradictions: [],
        waitedFor: new Set(),
        dispatch: 1,
      };
      entries.push(entry);
      return entry;
    },
    saw(entry, job, atMs) {
      const { status, dispatch, attempt, region, waiting_for } = job;
      if (entry.final) {
        const now = describe({ status, dispatch, attempt, region });
        const before = describe(entry.final);
        if (now !== before) entry.contradictions.push(`${job.id}: first ${before}, then ${now}`);
        return;
      }
      if (waiting_for) entry.waitedFor.add(waiting_for);
      if (dispatch > 1) entry.redispatchedMs ??= atMs;
      entry.dispatch = Math.max(entry.dispatch, dispatch);
      if (isFinal(status)) entry.final = { status, dispatch, attempt, region, atMs };
    },
    open: () => entries.filter((entry) => entry.accepted && !entry.final),
  };
}

const describe = ({ status, dispatch, attempt, region }: Outcome): string =>
  `${status} in ${region} (${dispatch}-${attempt})`;

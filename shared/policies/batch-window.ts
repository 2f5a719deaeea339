/** How a batch stands; times in Unix milliseconds. */
export interface BatchProgress {
  total: number;
  /** Items that have not ended. */
  open: number;
  createdAtMs: number;
  nowMs: number;
  deadlineAtMs?: number | undefined;
  /** When the last item ended; undefined while none has. */
  lastFinishedAtMs?: number | undefined;
}

export interface BatchWindow {
  /** When it will be done, or was; undefined while nothing tells. */
  finishMs: number | undefined;
  /** Whether the deadline will be, or was, missed by what is known now. */
  atRisk: boolean;
}

/** Of the time to the deadline; a batch of which nothing is done after so much of it is at risk. */
const PATIENCE = 0.5;

/** When a batch will be done if what is left takes as long for each item as what is done took on average, waiting included. */
export function batchWindow(progress: BatchProgress): BatchWindow {
  const { total, open, createdAtMs, nowMs, deadlineAtMs, lastFinishedAtMs } = progress;
  const done = total - open;
  const late = (atMs: number) => deadlineAtMs !== undefined && atMs > deadlineAtMs;
  if (open === 0) {
    const finishMs = lastFinishedAtMs ?? createdAtMs;
    return { finishMs, atRisk: late(finishMs) };
  }
  if (done === 0) {
    const patienceMs =
      deadlineAtMs === undefined ? Infinity : (deadlineAtMs - createdAtMs) * PATIENCE;
    return { finishMs: undefined, atRisk: nowMs - createdAtMs > patienceMs };
  }
  const finishMs = nowMs + ((nowMs - createdAtMs) / done) * open;
  return { finishMs, atRisk: late(finishMs) };
}

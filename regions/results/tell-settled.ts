import { SettledAnswer, type SettledJob } from "../../shared/contracts/internal-api.ts";
import { createCallEdge, type CallEdgeOptions } from "../ops/call-edge.ts";

const TIMEOUT_MS = 10_000;

/** Tells the ledger, by way of the edge, of jobs whose rows are in the database; resolves to how many it need not describe any longer. */
export type TellSettled = (jobs: readonly SettledJob[], signal: AbortSignal) => Promise<number>;

/** The answered function throws while the edge is away. */
export function createTellSettled(edge: CallEdgeOptions): TellSettled {
  const callEdge = createCallEdge("/internal/settled", edge);
  return async (jobs, signal) => {
    const { status, text } = await callEdge({ jobs }, { signal, timeoutMs: TIMEOUT_MS });
    if (status !== 200) throw new Error(`the edge answered ${status}`);
    return SettledAnswer.parse(JSON.parse(text)).reduced;
  };
}

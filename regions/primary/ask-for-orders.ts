import { PrimaryOrder, type PrimaryReport } from "../../shared/contracts/primary.ts";
import { createCallEdge, type CallEdgeOptions } from "../ops/call-edge.ts";

export type AskForOrders = (report: PrimaryReport, signal: AbortSignal) => Promise<PrimaryOrder>;

/** A lost one must leave time for the next before a primary has to be stopped; a slow link must be no lost one. */
const TIMEOUT_MS = 3_000;

/** Reports to the primary's lease, by way of the edge; the answer is what to do. Throws while the edge is away. */
export function createAskForOrders(edge: CallEdgeOptions): AskForOrders {
  const callEdge = createCallEdge("/internal/primary", edge);
  return async (report, signal) => {
    const { status, text } = await callEdge(report, { signal, timeoutMs: TIMEOUT_MS });
    if (status !== 200) throw new Error(`the edge answered ${status}`);
    return PrimaryOrder.parse(JSON.parse(text));
  };
}

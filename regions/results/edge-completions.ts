import {
  CompletionVerdicts,
  type CompletionOffer,
  type CompletionVerdict,
} from "../../shared/contracts/completion.ts";
import { createCallEdge, type CallEdgeOptions } from "../ops/call-edge.ts";

/** The edge has read the offers and will never take them as they are. */
export class OffersRefusedError extends Error {
  constructor(code: string) {
    super(`the edge refused the offers: ${code}`);
    this.name = "OffersRefusedError";
  }
}

export type OfferCompletions = (
  offers: readonly CompletionOffer[],
  signal: AbortSignal,
) => Promise<CompletionVerdict[]>;

export interface EdgeCompletionsOptions extends CallEdgeOptions {
  timeoutMs?: number;
}

/**
 * Offers runs to the ledger, by way of the edge.
 * The answered function throws OffersRefusedError when the offers themselves are at fault, and any other error when the
 * edge cannot be reached or cannot answer now.
 */
export function createEdgeCompletions(options: EdgeCompletionsOptions): OfferCompletions {
  const { timeoutMs = 10_000 } = options;
  const callEdge = createCallEdge("/internal/completions", options);

  return async (offers, signal) => {
    const { status, text } = await callEdge({ offers }, { signal, timeoutMs });
    if (status === 200) return CompletionVerdicts.parse(JSON.parse(text)).verdicts;
    const code = problemCode(text);
    if (["invalid_request", "malformed_json", "body_too_large"].includes(code)) {
      throw new OffersRefusedError(code);
    }
    throw new Error(`the edge answered ${status} ${code}`);
  };
}

function problemCode(text: string): string {
  try {
    const { code } = JSON.parse(text) as { code?: unknown };
    return typeof code === "string" ? code : "without a code";
  } catch {
    return "without a code";
  }
}

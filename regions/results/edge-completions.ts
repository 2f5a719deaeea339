import {
  CompletionVerdicts,
  type CompletionOffer,
  type CompletionVerdict,
} from "../../shared/contracts/completion.ts";
import { signLinkRequest, SIGNATURE_HEADER } from "../../shared/signing/link-signature.ts";

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

export interface EdgeCompletionsOptions {
  edgeUrl: string;
  region: string;
  /** The first signs. */
  linkSecrets: readonly string[];
  timeoutMs?: number;
}

/**
 * Offers runs to the ledger, by way of the edge.
 * The answered function throws OffersRefusedError when the offers themselves are at fault, and any other error when the
 * edge cannot be reached or cannot answer now.
 */
export function createEdgeCompletions(options: EdgeCompletionsOptions): OfferCompletions {
  const { edgeUrl, region, linkSecrets, timeoutMs = 10_000 } = options;
  const secret = linkSecrets[0];
  if (secret === undefined) throw new Error("the link to the edge has no secret");
  const url = new URL("/internal/completions", edgeUrl);

  return async (offers, signal) => {
    const body = JSON.stringify({ offers });
    const request = { method: "POST", target: url.pathname, body, audience: "edge" };
    const clock = new AbortController();
    const timer = setTimeout(
      () => clock.abort(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "antiphon-region": region,
          [SIGNATURE_HEADER]: await signLinkRequest(secret, request),
        },
        body,
        redirect: "error",
        signal: AbortSignal.any([signal, clock.signal]),
      });
      const text = await response.text();
      if (response.status === 200) return CompletionVerdicts.parse(JSON.parse(text)).verdicts;
      const code = problemCode(text);
      if (["invalid_request", "malformed_json", "body_too_large"].includes(code)) {
        throw new OffersRefusedError(code);
      }
      throw new Error(`the edge answered ${response.status} ${code}`);
    } finally {
      clearTimeout(timer);
    }
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

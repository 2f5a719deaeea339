import { SettledAnswer, type SettledJob } from "../../shared/contracts/internal-api.ts";
import { signLinkRequest, SIGNATURE_HEADER } from "../../shared/signing/link-signature.ts";

export interface TellSettledOptions {
  edgeUrl: string;
  region: string;
  /** The first signs. */
  linkSecrets: readonly string[];
  timeoutMs?: number;
}

/** Tells the ledger, by way of the edge, of jobs whose rows are in the database; resolves to how many it need not describe any longer. */
export type TellSettled = (jobs: readonly SettledJob[], signal: AbortSignal) => Promise<number>;

/** The answered function throws while the edge is away. */
export function createTellSettled(options: TellSettledOptions): TellSettled {
  const { edgeUrl, region, linkSecrets, timeoutMs = 10_000 } = options;
  const secret = linkSecrets[0];
  if (secret === undefined) throw new Error("the link to the edge has no secret");
  const url = new URL("/internal/settled", edgeUrl);

  return async (jobs, signal) => {
    const body = JSON.stringify({ jobs });
    const request = { method: "POST", target: url.pathname, body, audience: "edge" };
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "antiphon-region": region,
        [SIGNATURE_HEADER]: await signLinkRequest(secret, request),
      },
      body,
      redirect: "error",
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`the edge answered ${response.status}`);
    return SettledAnswer.parse(JSON.parse(text)).reduced;
  };
}

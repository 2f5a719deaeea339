import { PrimaryOrder, type PrimaryReport } from "../../shared/contracts/primary.ts";
import { signLinkRequest, SIGNATURE_HEADER } from "../../shared/signing/link-signature.ts";

export type AskForOrders = (report: PrimaryReport, signal: AbortSignal) => Promise<PrimaryOrder>;

export interface AskForOrdersOptions {
  edgeUrl: string;
  region: string;
  /** The first signs. */
  linkSecrets: readonly string[];
  timeoutMs?: number;
}

/** Reports to the primary's lease, by way of the edge; the answer is what to do. Throws while the edge is away. */
export function createAskForOrders(options: AskForOrdersOptions): AskForOrders {
  const { edgeUrl, region, linkSecrets, timeoutMs = 2_000 } = options;
  const secret = linkSecrets[0];
  if (secret === undefined) throw new Error("the link to the edge has no secret");
  const url = new URL("/internal/primary", edgeUrl);

  return async (report, signal) => {
    const body = JSON.stringify(report);
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
    return PrimaryOrder.parse(JSON.parse(text));
  };
}

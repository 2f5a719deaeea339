import { signLinkRequest, SIGNATURE_HEADER } from "../../shared/signing/link-signature.ts";

export interface CallEdgeOptions {
  edgeUrl: string;
  region: string;
  /** The first signs. */
  linkSecrets: readonly string[];
}

export interface EdgeAnswer {
  status: number;
  text: string;
}

/** A signed POST of this region to one of the edge's internal paths. Throws while the edge does not answer in time. */
export type CallEdge = (
  payload: unknown,
  options: { signal: AbortSignal; timeoutMs: number },
) => Promise<EdgeAnswer>;

/** @throws when the link has no secret to sign with */
export function createCallEdge(
  path: string,
  { edgeUrl, region, linkSecrets }: CallEdgeOptions,
): CallEdge {
  const secret = linkSecrets[0];
  if (secret === undefined) throw new Error("the link to the edge has no secret");
  const url = new URL(path, edgeUrl);

  return async (payload, { signal, timeoutMs }) => {
    const body = JSON.stringify(payload);
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
      return { status: response.status, text: await response.text() };
    } finally {
      clearTimeout(timer);
    }
  };
}

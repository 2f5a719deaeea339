import { ApiError } from "../errors/problem.ts";
import { constantTimeEqual, toBase64Url } from "./bytes.ts";
import { hmac as webHmac } from "./hmac.ts";

/** The header that carries the signature of a request between edge and region. */
export const SIGNATURE_HEADER = "antiphon-signature";

/** A request older or newer than this is refused; nonces are remembered for twice as long. */
export const SIGNATURE_WINDOW_MS = 60_000;

export interface LinkRequest {
  method: string;
  /** Path and query as sent, e.g. `/internal/jobs?x=1`. */
  target: string;
  body: string;
  /** Who is meant to answer: a region id, or `edge`. A request for one cannot be replayed to another. */
  audience: string;
}

/** Remembers nonces; `true` when this one is new. */
export type NonceGuard = (nonce: string, expiresAtMs: number) => boolean | Promise<boolean>;

/** HMAC-SHA-256 of a text, as base64url. */
export type LinkHmac = (secret: string, text: string) => string | Promise<string>;

/** What is signed: a line each of what cannot hold a line break, and the body, which can, last. */
const signedText = (
  { audience, method, target, body }: LinkRequest,
  at: number,
  nonce: string,
): string => `antiphon-link-v2\n${audience}\n${method}\n${target}\n${at}\n${nonce}\n${body}`;

/** The value of the signature header for `request`. `now` in Unix ms. */
export async function signLinkRequest(
  secret: string,
  request: LinkRequest,
  now: number = Date.now(),
  nonce: string = toBase64Url(crypto.getRandomValues(new Uint8Array(16))),
): Promise<string> {
  return `v2 t=${now},n=${nonce},s=${await webHmac(secret, signedText(request, now, nonce))}`;
}

/**
 * Checks a signed request. Several secrets may be valid at once, so that they can be rotated. `hmac`: Web Crypto's,
 * which is there everywhere, unless given.
 * @throws ApiError unsigned_request | invalid_signature | replayed_request
 */
export async function verifyLinkRequest(
  secrets: readonly string[],
  request: LinkRequest,
  header: string | null | undefined,
  isFresh: NonceGuard,
  now: number = Date.now(),
  hmac: LinkHmac = webHmac,
): Promise<void> {
  if (!header) throw new ApiError("unsigned_request");
  const match = /^v2 t=(\d{1,15}),n=([\w-]{16,64}),s=([\w-]{43})$/.exec(header);
  if (!match) throw new ApiError("invalid_signature");
  const [, at, nonce, given] = match as unknown as [string, string, string, string];
  const text = signedText(request, Number(at), nonce);
  let valid = false;
  for (const secret of secrets) {
    // No early exit: which secret fitted must not show in the time taken.
    const expected = await hmac(secret, text);
    valid = constantTimeEqual(expected, given) || valid;
  }
  if (!valid) throw new ApiError("invalid_signature");
  if (Math.abs(now - Number(at)) > SIGNATURE_WINDOW_MS) {
    throw new ApiError("replayed_request", "The signed request is too old, or the clocks differ.");
  }
  // Only after the signature: otherwise anyone could fill the memory of nonces.
  if (!(await isFresh(nonce, Number(at) + 2 * SIGNATURE_WINDOW_MS))) {
    throw new ApiError("replayed_request");
  }
}

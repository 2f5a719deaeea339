import { ApiError } from "../errors/problem.ts";
import { constantTimeEqual, toBase64Url } from "./bytes.ts";
import { hmac, sha256Hex } from "./hmac.ts";

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

/** What signatures are made of: HMAC-SHA-256 as base64url, and SHA-256 in hex. */
export interface LinkHashing {
  hmac(secret: string, message: string): string | Promise<string>;
  sha256Hex(text: string): string | Promise<string>;
}

const webHashing: LinkHashing = { hmac, sha256Hex };

async function signature(
  secret: string,
  request: LinkRequest,
  at: number,
  nonce: string,
  hashing = webHashing,
) {
  return hashing.hmac(
    secret,
    [
      "antiphon-link-v1",
      request.audience,
      request.method,
      request.target,
      at,
      nonce,
      await hashing.sha256Hex(request.body),
    ].join("\n"),
  );
}

/** The value of the signature header for `request`. `now` in Unix ms. */
export async function signLinkRequest(
  secret: string,
  request: LinkRequest,
  now: number = Date.now(),
  nonce: string = toBase64Url(crypto.getRandomValues(new Uint8Array(16))),
): Promise<string> {
  return `v1 t=${now},n=${nonce},s=${await signature(secret, request, now, nonce)}`;
}

/**
 * Checks a signed request. Several secrets may be valid at once, so that they can be rotated. `hashing`: Web Crypto's,
 * which is there everywhere, unless given.
 * @throws ApiError unsigned_request | invalid_signature | replayed_request
 */
export async function verifyLinkRequest(
  secrets: readonly string[],
  request: LinkRequest,
  header: string | null | undefined,
  isFresh: NonceGuard,
  now: number = Date.now(),
  hashing: LinkHashing = webHashing,
): Promise<void> {
  if (!header) throw new ApiError("unsigned_request");
  const match = /^v1 t=(\d{1,15}),n=([\w-]{16,64}),s=([\w-]{43})$/.exec(header);
  if (!match) throw new ApiError("invalid_signature");
  const [, at, nonce, given] = match as unknown as [string, string, string, string];
  let valid = false;
  for (const secret of secrets) {
    // No early exit: which secret fitted must not show in the time taken.
    const expected = await signature(secret, request, Number(at), nonce, hashing);
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

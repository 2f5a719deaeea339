import { createHash } from "node:crypto";

/** Percent-encodes all but RFC 3986's unreserved characters, as SigV4 asks. */
export function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** An object's path as S3 signs it: encoded once, with its slashes kept and no dot segments removed. */
export function encodePath(path: string): string {
  return encodeRfc3986(path).replaceAll("%2F", "/");
}

interface CanonicalRequestParts {
  method: string;
  /** Decoded path, beginning with a slash. */
  path: string;
  /** Decoded query, without the signature. */
  query: Iterable<[string, string]>;
  /** Lower-case names in the order in which the client listed them. */
  signedHeaders: string[];
  headerValue: (name: string) => string;
  payloadHash: string;
}

/**
 * SHA-256 (hex) of the canonical request, made from a request that was received rather than one to be
 * sent: signing libraries add their own date and hoist headers, so they cannot re-derive one exactly.
 * Source: AWS, "Create a signed AWS API request", steps 1 and 2.
 */
export function hashCanonicalRequest(parts: CanonicalRequestParts): string {
  const query = Array.from(parts.query, ([name, value]) => [
    encodeRfc3986(name),
    encodeRfc3986(value),
  ])
    .sort(([a = "", av = ""], [b = "", bv = ""]) => compare(a, b) || compare(av, bv))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
  const headers = parts.signedHeaders
    .map((name) => `${name}:${parts.headerValue(name).trim().replace(/\s+/g, " ")}\n`)
    .join("");
  const canonical = [
    parts.method,
    encodePath(parts.path),
    query,
    headers,
    parts.signedHeaders.join(";"),
    parts.payloadHash,
  ].join("\n");
  return createHash("sha256").update(canonical).digest("hex");
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

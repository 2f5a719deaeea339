import { toBase64Url, toHex } from "./bytes.ts";

const encoder = new TextEncoder();

/** Secrets are few and long-lived; importing one costs as much as signing with it. */
const MAX_KEYS = 100;
const keys = new Map<string, CryptoKey>();

async function keyOf(secret: string): Promise<CryptoKey> {
  const known = keys.get(secret);
  if (known) return known;
  const key = await crypto.subtle.importKey(
    "raw",
    encoder.encode(secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  if (keys.size >= MAX_KEYS) keys.clear();
  keys.set(secret, key);
  return key;
}

/** HMAC-SHA-256 of `message`, base64url. */
export async function hmac(secret: string, message: string): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", await keyOf(secret), encoder.encode(message));
  return toBase64Url(new Uint8Array(signature));
}

/** SHA-256 in hex. */
export async function sha256Hex(data: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof data === "string" ? encoder.encode(data) : data;
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

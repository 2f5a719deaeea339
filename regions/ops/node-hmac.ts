import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import type { LinkHmac } from "../../shared/signing/link-signature.ts";

/**
 * Node's own HMAC: it answers at once, where Web Crypto goes by way of a thread for each short text. The keys are kept, since
 * making one takes longer than using it; secrets are few.
 */
export function createNodeHmac(): LinkHmac {
  const keys = new Map<string, KeyObject>();
  function keyOf(secret: string): KeyObject {
    let key = keys.get(secret);
    if (!key) keys.set(secret, (key = createSecretKey(secret, "utf8")));
    return key;
  }
  return (secret, text) => createHmac("sha256", keyOf(secret)).update(text).digest("base64url");
}

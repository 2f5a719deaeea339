import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import type { LinkHashing } from "../../shared/signing/link-signature.ts";

/**
 * Node's own hashes: they answer at once, where Web Crypto goes by way of a thread for each short text. The keys are kept, since
 * making one takes longer than using it; secrets are few.
 */
export function createNodeHashing(): LinkHashing {
  const keys = new Map<string, KeyObject>();
  function keyOf(secret: string): KeyObject {
    let key = keys.get(secret);
    if (!key) keys.set(secret, (key = createSecretKey(secret, "utf8")));
    return key;
  }
  return {
    hmac: (secret, message) =>
      createHmac("sha256", keyOf(secret)).update(message).digest("base64url"),
    sha256Hex: (text) => hash("sha256", text, "hex"),
  };
}

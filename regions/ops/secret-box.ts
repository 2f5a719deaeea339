import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";

/** Keeps short texts at rest unreadable (AES-256-GCM). */
export interface SecretBox {
  /** `context` says what it is and whose: only the same words open it again. */
  seal(text: string, context: string): string;
  /** @throws Error when it was sealed elsewhere, for something else, or by a key that is not here any more */
  open(sealed: string, context: string): string;
}

const ALGORITHM = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * `keys`: 32 bytes each. The first seals, all open, so that a key can be replaced: put the new one first and keep the old one
 * for as long as anything is sealed with it. What is sealed names its key by the first bytes of the key's hash.
 */
export function createSecretBox(keys: readonly Buffer[]): SecretBox {
  const [first] = keys;
  if (first === undefined) throw new Error("a secret box needs a key");
  const byId = new Map(keys.map((key) => [idOf(key), key]));

  return {
    seal(text, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(ALGORITHM, first, iv, { authTagLength: TAG_BYTES });
      cipher.setAAD(Buffer.from(context));
      const sealed = Buffer.concat([iv, cipher.update(text, "utf8"), cipher.final()]);
      const whole = Buffer.concat([sealed, cipher.getAuthTag()]).toString("base64url");
      return `v1.${idOf(first)}.${whole}`;
    },
    open(sealed, context) {
      const [version, keyId = "", text = ""] = sealed.split(".");
      const key = byId.get(keyId);
      if (version !== "v1" || !key) throw new Error("what is sealed names no key that is here");
      const bytes = Buffer.from(text, "base64url");
      if (bytes.length < IV_BYTES + TAG_BYTES) throw new Error("what is sealed is cut short");
      const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, IV_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(context));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      const opened = decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES));
      return Buffer.concat([opened, decipher.final()]).toString("utf8");
    },
  };
}

const idOf = (key: Buffer) => createHash("sha256").update(key).digest("hex").slice(0, 8);

import { z } from "zod";

const encoder = new TextEncoder();
const Sealed = z.strictObject({ iv: z.string(), data: z.string() });

const toText = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const toBytes = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/** HKDF-SHA-256 of an API key (256 random bits, of which we keep only the hash) into an AES-256-GCM key. */
async function keyFrom(apiKey: string): Promise<CryptoKey> {
  const material = await crypto.subtle.importKey("raw", encoder.encode(apiKey), "HKDF", false, [
    "deriveKey",
  ]);
  return crypto.subtle.deriveKey(
    {
      name: "HKDF",
      hash: "SHA-256",
      salt: new Uint8Array(32),
      info: encoder.encode("antiphon-stored-answer-v1"),
    },
    material,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
}

/** Encrypts text so that only the holder of `apiKey` can read it again: a stored answer may show a fresh key. */
export async function seal(apiKey: string, text: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const data = await crypto.subtle.encrypt(
    { name: "AES-GCM", iv },
    await keyFrom(apiKey),
    encoder.encode(text),
  );
  return JSON.stringify({ iv: toText(iv), data: toText(new Uint8Array(data)) });
}

/** @throws when it was sealed with another key */
export async function unseal(apiKey: string, sealed: string): Promise<string> {
  const { iv, data } = Sealed.parse(JSON.parse(sealed));
  const text = await crypto.subtle.decrypt(
    { name: "AES-GCM", iv: toBytes(iv) },
    await keyFrom(apiKey),
    toBytes(data),
  );
  return new TextDecoder().decode(text);
}

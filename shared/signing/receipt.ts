import { z } from "zod";
import { DeletionFacts, type DeletionReceipt } from "../contracts/deletions.ts";
import { toBase64Url } from "./bytes.ts";

const TYPE = "antiphon-deletion-receipt";

const PublicKey = z.object({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  kid: z.string().min(1),
  x: z.string().min(1),
});
/** An Ed25519 key pair as a JWK (RFC 8037), with its id. */
export const ReceiptKey = PublicKey.extend({ d: z.string().min(1) });
export type ReceiptKey = z.infer<typeof ReceiptKey>;

/** The keys that receipts are, or were, signed with. */
export const ReceiptKeySet = z.object({ keys: z.array(PublicKey) });
export type ReceiptKeySet = z.infer<typeof ReceiptKeySet>;

const encode = (value: unknown) => toBase64Url(new TextEncoder().encode(JSON.stringify(value)));

function decode(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}
const decodeJson = (text: string): unknown => JSON.parse(new TextDecoder().decode(decode(text)));

/** What anyone may know of signing keys. */
export const publicKeys = (keys: readonly ReceiptKey[]) => ({
  keys: keys.map(({ kty, crv, kid, x }) => ({ kty, crv, kid, x, alg: "EdDSA", use: "sig" })),
});

/** A new key pair. */
export async function makeReceiptKey(kid: string): Promise<ReceiptKey> {
  const pair = (await crypto.subtle.generateKey({ name: "Ed25519" }, true, [
    "sign",
    "verify",
  ])) as CryptoKeyPair;
  return ReceiptKey.parse({
    ...((await crypto.subtle.exportKey("jwk", pair.privateKey)) as object),
    kid,
  });
}

/**
 * Signs facts as a compact JWS (RFC 7515, EdDSA): with a public key, so that whoever holds a receipt can prove it to others, and
 * need not be trusted with a secret that could make one.
 */
export async function signReceipt(
  { kid, kty, crv, x, d }: ReceiptKey,
  facts: DeletionFacts,
): Promise<DeletionReceipt> {
  const key = await crypto.subtle.importKey("jwk", { kty, crv, x, d }, { name: "Ed25519" }, false, [
    "sign",
  ]);
  const input = `${encode({ alg: "EdDSA", typ: TYPE, kid })}.${encode(facts)}`;
  const signature = await crypto.subtle.sign(
    { name: "Ed25519" },
    key,
    new TextEncoder().encode(input),
  );
  return { ...facts, jws: `${input}.${toBase64Url(new Uint8Array(signature))}` };
}

/** What a receipt was signed to say; undefined unless one of the keys signed it, and it says nothing else beside. */
export async function verifyReceipt(
  { keys }: ReceiptKeySet,
  { jws, ...shown }: DeletionReceipt,
): Promise<DeletionFacts | undefined> {
  const parts = jws.split(".");
  if (parts.length !== 3) return undefined;
  const [head, body, signature] = parts as [string, string, string];
  try {
    const { alg, typ, kid } = decodeJson(head) as Record<string, unknown>;
    const jwk = keys.find((key) => key.kid === kid);
    if (alg !== "EdDSA" || typ !== TYPE || !jwk) return undefined;
    const { kty, crv, x } = jwk;
    const key = await crypto.subtle.importKey("jwk", { kty, crv, x }, { name: "Ed25519" }, false, [
      "verify",
    ]);
    const signed = new TextEncoder().encode(`${head}.${body}`);
    if (!(await crypto.subtle.verify({ name: "Ed25519" }, key, decode(signature), signed))) {
      return undefined;
    }
    const facts = DeletionFacts.parse(decodeJson(body));
    // Through the same schema, so that both have their fields in one order.
    const same = JSON.stringify(DeletionFacts.parse(shown)) === JSON.stringify(facts);
    return same ? facts : undefined;
  } catch {
    return undefined;
  }
}

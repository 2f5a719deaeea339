/*
 * Signatures of webhooks by the specification Standard Webhooks 1.0.0 (standardwebhooks.com), symmetric form: HMAC-SHA-256 over
 * `id.timestamp.body`, in base64.
 */

const PREFIX = "whsec_";
const SECRET_BYTES = 32;
const encoder = new TextEncoder();

const toBase64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const fromBase64 = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/** A new secret, `whsec_` and base64 of 32 bytes. */
export const mintWebhookSecret = (
  random: Uint8Array = crypto.getRandomValues(new Uint8Array(SECRET_BYTES)),
): string => PREFIX + toBase64(random.subarray(0, SECRET_BYTES));

export interface WebhookMessage {
  id: string;
  /** Unix seconds of this try. */
  timestampS: number;
  body: string;
}

async function sign(secret: string, { id, timestampS, body }: WebhookMessage): Promise<string> {
  if (!secret.startsWith(PREFIX)) throw new Error("a webhook's secret begins with whsec_");
  const key = await crypto.subtle.importKey(
    "raw",
    fromBase64(secret.slice(PREFIX.length)),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const signed = await crypto.subtle.sign(
    "HMAC",
    key,
    encoder.encode(`${id}.${timestampS}.${body}`),
  );
  return `v1,${toBase64(new Uint8Array(signed))}`;
}

/** The headers of a delivery, with a signature by each of the secrets: while one is rotated there are two. */
export async function webhookHeaders(
  secrets: readonly string[],
  message: WebhookMessage,
): Promise<Record<string, string>> {
  const signatures = await Promise.all(secrets.map((secret) => sign(secret, message)));
  return {
    "webhook-id": message.id,
    "webhook-timestamp": String(message.timestampS),
    "webhook-signature": signatures.join(" "),
  };
}

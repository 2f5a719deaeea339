import { z } from "zod";
import { crc32Base62, toBase62 } from "./base62.ts";
import { KeyId, TenantId } from "./ids.ts";
import { Residency } from "./regions.ts";
import { TenantLimits } from "./tenant-settings.ts";

export const Scope = z.enum(["analyze", "speak", "admin"]).meta({ id: "Scope" });
export type Scope = z.infer<typeof Scope>;

/** What the edge knows of a key. The key itself is never stored, only its SHA-256. */
export const KeyRecord = z.strictObject({
  key_id: KeyId,
  tenant_id: TenantId,
  residency: Residency,
  scopes: z.array(Scope),
  expires_at: z.iso.datetime().nullable(),
  revoked_at: z.iso.datetime().nullable(),
  /** The tenant's own; absent: those of the deployment. */
  limits: TenantLimits.optional(),
  /** Whose pages may read the answers. */
  cors_origins: z.array(z.string()).optional(),
  /** Absent: they are kept. Else results of analyses go out by webhook alone. */
  keeps_results: z.literal(false).optional(),
});
export type KeyRecord = z.infer<typeof KeyRecord>;

const KEY = /^ak_(live|test|dev)_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

/**
 * `ak_<environment>_<43 base62 characters = 256 bits><6 of CRC-32>`: the prefix and checksum let a
 * scanner find leaked keys, and let the edge refuse a mistyped one without a look-up.
 */
export function mintApiKey(environment: "live" | "test" | "dev", random: Uint8Array): string {
  if (random.length < 32) throw new RangeError("an API key needs 32 random bytes");
  const body = `ak_${environment}_${toBase62(random.subarray(0, 32), 43)}`;
  return body + crc32Base62(body);
}

/** Whether `key` is well formed and its checksum holds. */
export function isApiKey(key: string): boolean {
  return KEY.test(key) && crc32Base62(key.slice(0, -6)) === key.slice(-6);
}

/** SHA-256 of a key in hex, as it is kept at rest. */
export async function hashApiKey(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

import { z } from "zod";
import { TenantId, Sha256Hex } from "../contracts/ids.ts";
import { Residency } from "../contracts/regions.ts";
import { ApiError } from "../errors/problem.ts";
import { constantTimeEqual } from "./bytes.ts";
import { hmac } from "./hmac.ts";
import { ipPrefix } from "./ip-prefix.ts";

/** Keys by key id; the one named `current` signs, all verify. */
export interface AudioUrlKeys {
  current: string;
  secrets: Record<string, string>;
}

/** What a signed audio URL names. */
export const AudioAddress = z.strictObject({
  region: z.string().regex(/^[a-z-]{3,32}$/),
  sha256: Sha256Hex,
  extension: z.string().regex(/^[a-z0-9]{1,8}$/),
  residency: Residency,
  tenantId: TenantId,
  /** The only network from which the URL works, such as `203.0.113.0/24`; any when absent. */
  network: z
    .string()
    .refine((network) => ipPrefix(network.replace(/\/(24|48)$/, "")) === network)
    .optional(),
});
export type AudioAddress = z.infer<typeof AudioAddress>;

function message(address: AudioAddress, exp: string, kid: string): string {
  const { region, sha256, extension, residency, tenantId, network } = address;
  return [
    "antiphon-audio-v1",
    kid,
    exp,
    region,
    `${sha256}.${extension}`,
    residency,
    tenantId,
    ...(network === undefined ? [] : [network]),
  ].join("\n");
}

/**
 * Path and query of a signed audio URL: `/v1/audio/{region}/{sha256}.{ext}?own&exp&kid&sig`, and `ip` when it is bound to a network.
 * `own` is residency and tenant, which the object's key needs; `exp` is in Unix seconds.
 */
export async function signAudioUrl(
  keys: AudioUrlKeys,
  address: AudioAddress,
  expiresAtMs: number,
): Promise<string> {
  const secret = keys.secrets[keys.current];
  if (secret === undefined) throw new Error(`no audio URL secret named ${keys.current}`);
  const exp = String(Math.floor(expiresAtMs / 1000));
  const query = new URLSearchParams({
    own: `${address.residency}.${address.tenantId}`,
    exp,
    kid: keys.current,
    ...(address.network === undefined ? {} : { ip: address.network }),
    sig: await hmac(secret, message(address, exp, keys.current)),
  });
  return `/v1/audio/${address.region}/${address.sha256}.${address.extension}?${query}`;
}

/**
 * Reads and checks a signed audio URL. `client`: the address from which it is used.
 * @throws ApiError invalid_signature for anything that is off, expired_url once it is over
 */
export async function verifyAudioUrl(
  keys: AudioUrlKeys,
  url: URL,
  now: number = Date.now(),
  client?: string | null,
): Promise<AudioAddress> {
  const path = /^\/v1\/audio\/([a-z-]{3,32})\/([0-9a-f]{64})\.([a-z0-9]{1,8})$/.exec(url.pathname);
  const single = (name: string) => {
    const values = url.searchParams.getAll(name);
    return values.length === 1 ? values[0]! : "";
  };
  const own = /^([a-z]+)\.(.+)$/.exec(single("own"));
  const address = AudioAddress.safeParse({
    region: path?.[1],
    sha256: path?.[2],
    extension: path?.[3],
    residency: own?.[1],
    tenantId: own?.[2],
    ...(url.searchParams.has("ip") ? { network: single("ip") } : {}),
  });
  const exp = single("exp");
  const kid = single("kid");
  if (!address.success || !/^\d{1,12}$/.test(exp)) throw new ApiError("invalid_signature");
  const known = Object.hasOwn(keys.secrets, kid);
  // An unknown key id still costs one HMAC, so that it takes as long as a wrong signature.
  const expected = await hmac(
    known ? keys.secrets[kid]! : "unknown",
    message(address.data, exp, kid),
  );
  const equal = constantTimeEqual(expected, single("sig"));
  if (!known || !equal) throw new ApiError("invalid_signature");
  const { network } = address.data;
  if (network !== undefined && ipPrefix(client ?? "") !== network) {
    throw new ApiError("invalid_signature", "The URL is bound to another network.");
  }
  if (Number(exp) * 1000 <= now) throw new ApiError("expired_url");
  return address.data;
}

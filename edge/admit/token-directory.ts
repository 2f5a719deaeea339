import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from "jose";
import type { KeyRecord } from "../../shared/contracts/api-key.ts";
import {
  IssuerRecord,
  LookupIssuer,
  LookupIssuerAnswer,
} from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { TokenAlgorithm } from "../../shared/contracts/tenant-settings.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { sha256Hex } from "../../shared/signing/hmac.ts";
import type { Trace } from "../context.ts";
import type { CallRegion } from "../forward/call-region.ts";
import { askRegions } from "./ask-regions.ts";
import { createJwksCache } from "./jwks-cache.ts";
import { createRecordCache } from "./record-cache.ts";
import type { Introduce } from "./strangers.ts";

const CLOCK_TOLERANCE_S = 30;
/** A token that lives longer is a key under another name, and cannot be revoked here. */
const MAX_LIFE_S = 24 * 3600;

export interface TokenDirectory {
  /**
   * Who a JWT speaks for, as if it were a key: of the tenant that named its issuer and audience, with the scopes of its claim
   * `scope` that the issuer may give.
   * @throws ApiError invalid_token | dependency_unavailable, or what `introduce` throws
   */
  find(
    token: string,
    candidates: () => readonly Region[],
    trace: Trace,
    introduce?: Introduce,
  ): Promise<KeyRecord>;
}

export interface TokenDirectoryParts {
  kv: KVNamespace;
  callRegion: CallRegion;
  /** Whether keys may come from addresses without TLS; never in production. */
  allowHttp: boolean;
  now?: () => number;
}

/** JWTs of the tenants' own issuers (RFC 7519), checked with the keys that those publish (RFC 7517). */
export function createTokenDirectory({
  kv,
  callRegion,
  allowHttp,
  now = Date.now,
}: TokenDirectoryParts): TokenDirectory {
  const issuers = createRecordCache(kv, "issuer", IssuerRecord, now);
  const keysAt = createJwksCache({ allowHttp, now });

  async function find(
    token: string,
    candidates: () => readonly Region[],
    trace: Trace,
    introduce?: Introduce,
  ): Promise<KeyRecord> {
    const claimed = readClaims(token);
    // What issuer and audience say is only believed to find out whose key must have signed it.
    const name = await sha256Hex(JSON.stringify([claimed.issuer, claimed.audiences]));
    const lookUp = () =>
      askRegions(
        callRegion,
        candidates(),
        { target: "/internal/issuers/lookup", body: claimed, answer: LookupIssuerAnswer, trace },
        (answer) => answer.issuer,
      );
    const issuer = await issuers.get(name, lookUp, introduce);
    if (!issuer) throw refused("Nobody here takes tokens of this issuer for this audience.");
    const payload = await verify(token, issuer);
    const subject = await sha256Hex(JSON.stringify([issuer.issuer, payload.sub]));
    const claim = typeof payload["scope"] === "string" ? payload["scope"].split(" ") : [];
    return {
      key_id: `key_jwt-${subject.slice(0, 40)}`,
      tenant_id: issuer.tenant_id,
      residency: issuer.residency,
      scopes: issuer.scopes.filter((scope) => claim.includes(scope)),
      expires_at: new Date(payload.exp! * 1000).toISOString(),
      revoked_at: null,
      ...(issuer.limits ? { limits: issuer.limits } : {}),
      ...(issuer.cors_origins ? { cors_origins: issuer.cors_origins } : {}),
      ...(issuer.keeps_results === false ? { keeps_results: false as const } : {}),
    };
  }

  async function verify(token: string, issuer: IssuerRecord) {
    try {
      const { payload } = await jwtVerify(token, keysAt(issuer.jwks_uri), {
        issuer: issuer.issuer,
        audience: issuer.audience,
        algorithms: issuer.algorithms,
        requiredClaims: ["exp", "sub"],
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: new Date(now()),
      });
      if (payload.exp! * 1000 > now() + MAX_LIFE_S * 1000) {
        throw refused("It lives for more than a day.");
      }
      return payload;
    } catch (error) {
      if (error instanceof ApiError) throw error;
      const known = error instanceof errors.JOSEError;
      throw refused(known ? reasonOf(error) : "It cannot be read.", error);
    }
  }

  return { find };
}

/** Whether a credential has the form of a JWT. */
export const isToken = (credential: string): boolean =>
  /^[\w-]{1,2000}\.[\w-]{1,6000}\.[\w-]{1,1000}$/.test(credential);

function readClaims(token: string) {
  try {
    const { alg } = decodeProtectedHeader(token);
    const { iss, aud } = decodeJwt(token);
    if (!TokenAlgorithm.safeParse(alg).success) throw refused("Its algorithm is not one of ours.");
    return LookupIssuer.parse({ issuer: iss, audiences: [aud].flat() });
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw refused("It cannot be read, or names no issuer and audience.", error);
  }
}

const refused = (detail: string, cause?: unknown) =>
  new ApiError("invalid_token", detail, { cause });

function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return "It has expired.";
  if (error instanceof errors.JWTClaimValidationFailed)
    return `Its claim ${error.claim} does not hold.`;
  return "Its signature does not hold.";
}

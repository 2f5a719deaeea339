import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import { z } from "zod";
import { ApiError } from "../../shared/errors/problem.ts";
import { readText } from "./read-body.ts";

const FRESH_FOR_MS = 10 * 60_000;
/** A key id that is not in the set makes us ask again, at most so often; and so does a server that failed. */
const COOLDOWN_MS = 30_000;
/** While no keys are known, nobody gets in: a server that failed is asked again sooner. */
const COLD_COOLDOWN_MS = 2_000;
/** While the issuer's server does not answer, its last keys are believed for so long. */
const STALE_FOR_MS = 3_600_000;
const TIMEOUT_MS = 3_000;
const MAX_BYTES = 64 * 1024;
const MAX_KEYS = 100;
const MAX_SETS = 100;
/** Requests that ask for the same keys at once, while none are known. */
const MAX_ASKING = 20;

const KeySet = z.looseObject({
  keys: z.array(z.looseObject({ kty: z.string() })).max(MAX_KEYS),
});

interface Kept {
  keys: JWTVerifyGetKey | undefined;
  fetchedAt: number;
  askedAt: number;
  /** Requests that are waiting for the issuer's server. */
  asking: number;
  /** Whether the last answer was none. */
  hasFailed: boolean;
}

export interface JwksCacheOptions {
  /** Whether addresses without TLS will do; never in production. */
  allowHttp: boolean;
  now?: () => number;
}

/**
 * The public keys of issuers, by address. Each set is fetched under a time limit and up to a size, without following
 * redirects, kept for ten minutes, and asked for again for an unknown key at most every 30 s (every 2 s while none are known): tokens with made-up key ids must
 * not make us a hammer on somebody's server.
 * @returns what jose asks for the key of a token. @throws ApiError dependency_unavailable, or what jose throws for no such key
 */
export function createJwksCache({ allowHttp, now = Date.now }: JwksCacheOptions) {
  const sets = new Map<string, Kept>();

  async function fetchKeys(uri: string): Promise<JWTVerifyGetKey> {
    const { protocol } = new URL(uri);
    if (protocol !== "https:" && !(allowHttp && protocol === "http:")) {
      throw new Error("keys are only fetched over https");
    }
    const response = await fetch(uri, {
      headers: { accept: "application/jwk-set+json, application/json" },
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`the issuer's keys: HTTP ${response.status}`);
    }
    const parsed = KeySet.parse(JSON.parse(await readText(response, MAX_BYTES)));
    return createLocalJWKSet(parsed as JSONWebKeySet);
  }

  function keptOf(uri: string): Kept {
    const kept = sets.get(uri) ?? {
      keys: undefined,
      fetchedAt: -Infinity,
      askedAt: -Infinity,
      asking: 0,
      hasFailed: false,
    };
    if (!sets.has(uri)) {
      for (const oldest of sets.keys()) {
        if (sets.size < MAX_SETS) break;
        sets.delete(oldest);
      }
      sets.set(uri, kept);
    }
    return kept;
  }

  async function refresh(uri: string, kept: Kept): Promise<void> {
    const isUsable = () => kept.keys !== undefined && now() - kept.fetchedAt < STALE_FOR_MS;
    // No request can wait for another's fetch: while there are no keys to go by, those that come together each ask.
    const isFirst = !isUsable() && !kept.hasFailed && kept.asking < MAX_ASKING;
    const cooldownMs = isUsable() ? COOLDOWN_MS : COLD_COOLDOWN_MS;
    if (now() - kept.askedAt < cooldownMs && !isFirst) return;
    kept.askedAt = now();
    kept.asking++;
    try {
      kept.keys = await fetchKeys(uri);
      kept.fetchedAt = now();
      kept.hasFailed = false;
    } catch (cause) {
      kept.hasFailed = true;
      if (isUsable()) return;
      throw new ApiError("dependency_unavailable", "The issuer's keys cannot be fetched now.", {
        cause,
      });
    } finally {
      kept.asking--;
    }
  }

  return (uri: string): JWTVerifyGetKey =>
    async (header, token) => {
      const kept = keptOf(uri);
      if (now() - kept.fetchedAt >= FRESH_FOR_MS) await refresh(uri, kept);
      const known = kept.keys;
      if (!known || now() - kept.fetchedAt >= STALE_FOR_MS) {
        throw new ApiError("dependency_unavailable", "The issuer's keys cannot be fetched now.");
      }
      try {
        return await known(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        // Issuers rotate their keys: the set may be newer than ours.
        await refresh(uri, kept);
        if (kept.keys === known) throw error;
        return kept.keys!(header, token);
      }
    };
}

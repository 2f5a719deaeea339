import { z } from "zod";
import { hashApiKey, isApiKey, KeyRecord } from "../../shared/contracts/api-key.ts";
import { LookupKeyAnswer } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Trace } from "../context.ts";
import type { CallRegion } from "../forward/call-region.ts";
import { describeError, log } from "../ops/log.ts";

const KNOWN_FOR_MS = 60_000;
/** Short, so that a key which a lagging replica did not know yet is soon asked for again. */
const UNKNOWN_FOR_MS = 10_000;
/** The shortest life that KV gives an entry; `until` inside the entry rules. */
const KV_TTL_S = 60;
const LOOKUP_TIMEOUT_MS = 2_000;

const CachedKey = z.strictObject({ until: z.number(), key: KeyRecord.nullable() });

export interface KeyDirectory {
  /**
   * The record behind an API key.
   * @throws ApiError invalid_api_key | dependency_unavailable
   */
  find(apiKey: string, candidates: () => readonly Region[], trace: Trace): Promise<KeyRecord>;
  /** Drops what is cached under a key's hash. */
  forget(keyHash: string): Promise<void>;
}

/** Key records by the key's SHA-256: from KV, else from a region. Any region may be asked: a record is not content. */
export function createKeyDirectory(
  kv: KVNamespace,
  callRegion: CallRegion,
  now: () => number = Date.now,
): KeyDirectory {
  const nameOf = (keyHash: string) => `key/${keyHash}`;

  async function lookUp(
    keyHash: string,
    candidates: readonly Region[],
    trace: Trace,
  ): Promise<KeyRecord | null> {
    let denials = 0;
    let last: unknown;
    for (const region of candidates) {
      const outcome = await callRegion(region, {
        method: "POST",
        target: "/internal/keys/lookup",
        body: { key_hash: keyHash },
        answer: LookupKeyAnswer,
        timeoutMs: LOOKUP_TIMEOUT_MS,
        trace,
      });
      if (outcome.kind === "done" && outcome.value.key) return outcome.value.key;
      // One replica may lag behind a key that is seconds old: a second one has to agree.
      if (outcome.kind === "done" && ++denials === 2) return null;
      if (outcome.kind !== "done") last = outcome.error;
    }
    if (denials > 0) return null;
    throw new ApiError("dependency_unavailable", "The API key cannot be checked now.", {
      cause: last,
    });
  }

  async function find(
    apiKey: string,
    candidates: () => readonly Region[],
    trace: Trace,
  ): Promise<KeyRecord> {
    if (!isApiKey(apiKey)) throw new ApiError("invalid_api_key");
    const keyHash = await hashApiKey(apiKey);
    const cached = CachedKey.safeParse(await kv.get(nameOf(keyHash), "json").catch(() => null));
    let key: KeyRecord | null;
    if (cached.success && cached.data.until > now()) {
      key = cached.data.key;
    } else {
      key = await lookUp(keyHash, candidates(), trace);
      const entry = { until: now() + (key ? KNOWN_FOR_MS : UNKNOWN_FOR_MS), key };
      await kv
        .put(nameOf(keyHash), JSON.stringify(entry), { expirationTtl: KV_TTL_S })
        // KV takes one write a second per key: a lost write costs a look-up, nothing more.
        .catch((error: unknown) => log("warn", "KV write failed", { error: describeError(error) }));
    }
    if (!key) throw new ApiError("invalid_api_key");
    return key;
  }

  return { find, forget: (keyHash) => kv.delete(nameOf(keyHash)) };
}

import { hashApiKey, isApiKey, KeyRecord } from "../../shared/contracts/api-key.ts";
import { LookupKeyAnswer } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Trace } from "../context.ts";
import type { CallRegion } from "../forward/call-region.ts";
import { askRegions } from "./ask-regions.ts";
import { createRecordCache } from "./record-cache.ts";
import type { Introduce } from "./strangers.ts";

export interface KeyDirectory {
  /**
   * The record behind an API key.
   * @throws ApiError invalid_api_key | dependency_unavailable, or what `introduce` throws
   */
  find(
    apiKey: string,
    candidates: () => readonly Region[],
    trace: Trace,
    introduce?: Introduce,
  ): Promise<KeyRecord>;
  /** Drops what is cached under a key's hash. */
  forget(keyHash: string): Promise<void>;
}

/** Key records by the key's SHA-256: from caches, else from a region. Any region may be asked: a record is not content. */
export function createKeyDirectory(
  kv: KVNamespace,
  callRegion: CallRegion,
  now: () => number = Date.now,
): KeyDirectory {
  const cache = createRecordCache(kv, "key", KeyRecord, now);

  async function find(
    apiKey: string,
    candidates: () => readonly Region[],
    trace: Trace,
    introduce?: Introduce,
  ): Promise<KeyRecord> {
    if (!isApiKey(apiKey)) throw new ApiError("invalid_api_key");
    const keyHash = await hashApiKey(apiKey);
    const lookUp = () =>
      askRegions(
        callRegion,
        candidates(),
        {
          target: "/internal/keys/lookup",
          body: { key_hash: keyHash },
          answer: LookupKeyAnswer,
          trace,
        },
        (answer) => answer.key,
      );
    const key = await cache.get(keyHash, lookUp, introduce);
    if (!key) throw new ApiError("invalid_api_key");
    return key;
  }

  return { find, forget: (keyHash) => cache.forget(keyHash) };
}

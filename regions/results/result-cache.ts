import { AnalysisResult } from "../../shared/contracts/analysis-result.ts";
import type { ReadResult } from "../../shared/contracts/internal-api.ts";
import type { Redis } from "./redis.ts";
import { resultKeys } from "./result-keys.ts";

export interface FoundResult {
  result: AnalysisResult;
  from: "redis" | "s3";
}

export interface ResultCache {
  /**
   * The result of a final run, from Redis or else from the bucket; undefined when neither has it, or when the key is
   * not one of that tenant's job. Redis being away costs only time; throws what the bucket throws while it is away.
   */
  read(which: ReadResult, signal?: AbortSignal): Promise<FoundResult | undefined>;
  /** Keeps the result (JSON) of an accepted run for a day. */
  write(jobId: string, resultJson: string): Promise<void>;
}

export interface ResultCacheOptions {
  redis: Redis;
  /** The text of an object of this region's bucket; undefined when it is not there. */
  readObject(key: string, maxBytes: number, signal?: AbortSignal): Promise<string | undefined>;
  ttlS?: number;
  maxBytes?: number;
}

export function createResultCache(options: ResultCacheOptions): ResultCache {
  const { redis, readObject, ttlS = 86_400, maxBytes = 16 * 2 ** 20 } = options;

  async function write(jobId: string, resultJson: string): Promise<void> {
    if (Buffer.byteLength(resultJson) > maxBytes) return;
    await redis.set(resultKeys.result(jobId), resultJson, "EX", ttlS);
  }

  return {
    write,
    async read({ job_id, tenant_id, result_key }, signal) {
      const key =
        /^results\/(?:global|us|eu|in)\/([^/]+)\/([^/]+)\/(\d{1,9})-(\d{1,9})\.json$/.exec(
          result_key,
        );
      if (!key || key[1] !== tenant_id || key[2] !== job_id) return undefined;
      const isOfRun = ({ epoch }: AnalysisResult) =>
        epoch.dispatch === Number(key[3]) && epoch.attempt === Number(key[4]);

      const cached = parse(await redis.get(resultKeys.result(job_id)).catch(() => null));
      // The cache goes by job alone; another run's result is not the one that was accepted.
      if (cached && isOfRun(cached)) return { result: cached, from: "redis" };

      const text = await readObject(result_key, maxBytes, signal);
      const stored = parse(text);
      if (text === undefined || !stored) return undefined;
      await write(job_id, text).catch(() => undefined);
      return { result: stored, from: "s3" };
    },
  };
}

function parse(text: string | null | undefined): AnalysisResult | undefined {
  if (text === null || text === undefined) return undefined;
  try {
    return AnalysisResult.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

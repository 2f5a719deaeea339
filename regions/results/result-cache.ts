import { AnalysisResult, type ResultSource } from "../../shared/contracts/analysis-result.ts";
import { readId } from "../../shared/contracts/ids.ts";
import type { ReadResult } from "../../shared/contracts/internal-api.ts";
import type { Redis } from "./redis.ts";
import { resultKeys } from "./result-keys.ts";
import type { Tombstones } from "./tombstones.ts";

export interface FoundResult {
  result: AnalysisResult;
  from: ResultSource;
}

export interface ResultCache {
  /**
   * The result of a final run: from Redis, else from the database (of global tenants alone), else from the bucket; a copy that is
   * damaged, or of another run, is passed over. Undefined when none has it, when it was deleted, or when the key is not one of that
   * tenant's job. Redis or the database being away costs only time; throws what the bucket throws while it is away.
   */
  read(which: ReadResult, signal?: AbortSignal): Promise<FoundResult | undefined>;
  /** Keeps the result (JSON) of an accepted run for ten minutes, in which most are asked for, unless it is large. */
  write(jobId: string, resultJson: string): Promise<void>;
}

export interface ResultCacheOptions {
  redis: Redis;
  /** A final job's result as the database of this region has it; undefined when it has none. */
  readRow?: ((jobId: string) => Promise<unknown>) | undefined;
  /** The text of an object of this region's bucket; undefined when it is not there. */
  readObject(key: string, maxBytes: number, signal?: AbortSignal): Promise<string | undefined>;
  /** What was deleted; it is not looked for. */
  tombstones?: Pick<Tombstones, "covers"> | undefined;
  ttlS?: number;
  /** Of a result that is read. */
  maxBytes?: number;
  /** Of one that is kept in Redis, whose memory is the queue's. */
  maxKeptBytes?: number;
}

/** A database that hangs must leave time for the bucket. */
const ROW_PATIENCE_MS = 1_000;

export function createResultCache(options: ResultCacheOptions): ResultCache {
  const { redis, readRow, readObject, tombstones } = options;
  const { ttlS = 600, maxBytes = 16 * 2 ** 20, maxKeptBytes = 256 * 1024 } = options;

  async function write(jobId: string, resultJson: string): Promise<void> {
    if (Buffer.byteLength(resultJson) > maxKeptBytes) return;
    await redis.set(resultKeys.result(jobId), resultJson, "EX", ttlS);
  }

  async function rowOf(jobId: string): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, ROW_PATIENCE_MS, undefined);
    });
    try {
      return await Promise.race([readRow?.(jobId), late]);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    write,
    async read({ job_id, tenant_id, result_key }, signal) {
      const key = /^results\/(global|us|eu|in)\/([^/]+)\/([^/]+)\/(\d{1,9})-(\d{1,9})\.json$/.exec(
        result_key,
      );
      if (!key || key[2] !== tenant_id || key[3] !== job_id) return undefined;
      /** The result in what a store gave, if it is a whole one of that very run. */
      function whole(value: unknown): AnalysisResult | undefined {
        const result = AnalysisResult.safeParse(value).data;
        const isOfRun =
          result?.epoch.dispatch === Number(key![4]) && result.epoch.attempt === Number(key![5]);
        return isOfRun ? result : undefined;
      }
      const createdAtMs = readId(job_id)?.createdAtMs ?? 0;
      const isDeleted = await tombstones
        ?.covers(tenant_id, { id: job_id, createdAtMs })
        .catch(() => false);
      if (isDeleted) return undefined;

      // The cache goes by job alone; another run's result is not the one that was accepted.
      const cached = whole(parse(await redis.get(resultKeys.result(job_id)).catch(() => null)));
      if (cached) return { result: cached, from: "redis" };

      const row = key[1] === "global" && readRow ? whole(await rowOf(job_id)) : undefined;
      const text = row ? undefined : await readObject(result_key, maxBytes, signal);
      const result = row ?? whole(parse(text));
      if (!result) return undefined;
      await write(job_id, text ?? JSON.stringify(result)).catch(() => undefined);
      return { result, from: row ? "postgres" : "s3" };
    },
  };
}

function parse(text: string | null | undefined): unknown {
  if (text === null || text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import { readFileSync } from "node:fs";
import { z } from "zod";
import { StageName, Stages, type StagePlan } from "../../shared/contracts/stages.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { Redis } from "./redis.ts";
import { daysKept, entryOf, lives, type Recording, stageKeys } from "./stage-keys.ts";

export type Identities = StagePlan["identities"];

/**
 * What the stages of an analysis gave for a recording, by its content: tenant, SHA-256, and all that decides the outcome.
 * Redis holds what is small, within a bound, so that the queue beside it keeps its room; the bucket what is large. Both are
 * of this region alone. A cache that is away, full or damaged is a cache that knows nothing: nothing here throws.
 */
export interface StageCache {
  /** The stages of these identities that are known. @param maxBytes larger outcomes count as unknown */
  find(
    recording: Recording,
    identities: Identities,
    options?: { signal?: AbortSignal | undefined; maxBytes?: number },
  ): Promise<Stages>;
  /** Keeps the stages that `identities` names, for as long as each is to live. */
  keep(
    recording: Recording,
    identities: Identities,
    stages: Stages,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<void>;
}

export interface StageCacheOptions {
  redis: Redis;
  /** The text of an object of this region's bucket; undefined when it is not there. */
  readObject(key: string, maxBytes: number, signal?: AbortSignal): Promise<string | undefined>;
  writeObject(key: string, text: string, signal?: AbortSignal): Promise<void>;
  logger: Logger;
  metrics: Metrics;
  /** Of all recordings together, in Redis. */
  maxTotalBytes?: number;
  /** Outcomes larger than this lie in the bucket. */
  maxInlineBytes?: number;
  /** Unix ms. */
  now?: () => number;
}

/** An outcome in Redis, or where it lies. Expiry is checked with each read, since a recording's entries end together. */
const Entry = z.union([
  z.strictObject({ ends_at: z.number(), made: z.unknown() }),
  z.strictObject({ ends_at: z.number(), object: z.string() }),
]);

const DAY_MS = 86_400_000;
/** A result larger than this is not read back either. */
const MAX_OBJECT_BYTES = 16 * 2 ** 20;

export function createStageCache(options: StageCacheOptions): StageCache {
  const { redis, readObject, writeObject, logger, metrics, now = Date.now } = options;
  const { maxTotalBytes = 256 * 2 ** 20, maxInlineBytes = 256 * 1024 } = options;
  const lookups = metrics.counter(
    "antiphon_stage_cache_total",
    "Outcomes of stages that were looked for in the cache, by stage and whether they were there.",
  );
  const evicted = metrics.counter(
    "antiphon_stage_cache_evicted_total",
    "Recordings whose cached outcomes made room for others before their time.",
  );
  const keepStages = defineKeepStages(redis);

  async function readEntry(
    stage: StageName,
    text: string | null | undefined,
    maxBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<Stages[StageName]> {
    if (text === null || text === undefined || Buffer.byteLength(text) > maxBytes) return undefined;
    const entry = Entry.parse(JSON.parse(text));
    if (entry.ends_at <= now()) return undefined;
    let { made } = entry as { made: unknown };
    if ("object" in entry) {
      const stored = await readObject(entry.object, maxBytes, signal);
      if (stored === undefined) return undefined;
      made = JSON.parse(stored);
    }
    return Stages.shape[stage].parse(made);
  }

  async function find(
    recording: Recording,
    identities: Identities,
    { signal, maxBytes = MAX_OBJECT_BYTES }: { signal?: AbortSignal; maxBytes?: number },
  ): Promise<Stages> {
    const wanted = stagesOf(identities);
    const texts = new Map<StageName, string | null | undefined>();
    await Promise.all(
      lives.map(async (days) => {
        const stages = wanted.filter((stage) => daysKept[stage] === days);
        if (stages.length === 0) return;
        const fields = stages.map((stage) => entryOf(stage, identities[stage]!));
        const found = await redis.hmget(stageKeys.recording(recording, days), ...fields);
        for (const [at, stage] of stages.entries()) texts.set(stage, found[at]);
      }),
    );
    const known: Stages = {};
    await Promise.all(
      wanted.map(async (stage) => {
        try {
          const made = await readEntry(stage, texts.get(stage), maxBytes, signal);
          if (made !== undefined) Object.assign(known, { [stage]: made });
        } catch (error) {
          logger.warn({ err: error, stage }, "an entry of the stage cache cannot be read");
        }
      }),
    );
    return known;
  }

  async function keep(
    recording: Recording,
    identities: Identities,
    stages: Stages,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await Promise.all(
      lives.map(async (days) => {
        const ends_at = now() + days * DAY_MS;
        const kept = stagesOf(identities).filter(
          (stage) => daysKept[stage] === days && stages[stage] !== undefined,
        );
        if (kept.length === 0) return;
        const entries = await Promise.all(
          kept.map(async (stage) => {
            const name = entryOf(stage, identities[stage]!);
            const inline = JSON.stringify({ ends_at, made: stages[stage] });
            if (Buffer.byteLength(inline) <= maxInlineBytes) return [name, inline];
            const object = stageKeys.object(recording, days, name);
            await writeObject(object, JSON.stringify(stages[stage]), signal);
            return [name, JSON.stringify({ ends_at, object })];
          }),
        );
        const early = await keepStages(
          stageKeys.recording(recording, days),
          [now(), ends_at, maxTotalBytes],
          entries.flat(),
        );
        if (early > 0) evicted.inc({}, early);
      }),
    );
  }

  return {
    async find(recording, identities, { signal, ...limits } = {}) {
      const known = await unlessAborted(
        find(recording, identities, { ...limits, ...(signal ? { signal } : {}) }),
        signal,
      ).catch((error: unknown): Stages => {
        logger.debug({ err: error }, "the stage cache is away");
        return {};
      });
      for (const stage of stagesOf(identities)) {
        lookups.inc({ stage, outcome: known[stage] === undefined ? "miss" : "hit" });
      }
      return known;
    },
    async keep(recording, identities, stages, { signal } = {}) {
      await unlessAborted(keep(recording, identities, stages, signal), signal).catch(
        (error: unknown) => logger.warn({ err: error }, "the stage cache took nothing"),
      );
    },
  };
}

const stagesOf = (identities: Identities) =>
  StageName.options.filter((stage) => identities[stage] !== undefined);

/** Redis commands know no signals: whoever waits leaves, and the answer is dropped. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

type KeepStages = (
  recording: string,
  limits: readonly number[],
  entries: readonly string[],
) => Promise<number>;

function defineKeepStages(redis: Redis): KeepStages {
  const name = "antiphon_keep_stages";
  const lua = readFileSync(new URL("./keep-stages.lua", import.meta.url), "utf8");
  redis.defineCommand(name, { numberOfKeys: 4, lua });
  const command = (redis as unknown as Record<string, (...args: string[]) => Promise<unknown>>)[
    name
  ]!.bind(redis);
  return async (recording, limits, entries) => {
    const keys = [recording, stageKeys.index, stageKeys.sizes, stageKeys.total];
    return Number(await command(...keys, ...limits.map(String), ...entries));
  };
}

import { readFileSync } from "node:fs";
import {
  coversJob,
  inputOf,
  type DeletedJob,
  type DeletionOrder,
} from "../../shared/contracts/deletions.ts";
import { readId, Sha256Hex } from "../../shared/contracts/ids.ts";
import { JobSpec } from "../../shared/contracts/job.ts";
import type { Redis } from "./redis.ts";
import { resultKeys } from "./result-keys.ts";
import { define } from "./scripts.ts";
import { lives, stageKeys } from "./stage-keys.ts";

/** Finds and removes what this region's Redis holds of jobs. */
export interface EraseJobs {
  /** Jobs of the order that this region has, or had within a day. */
  find(order: DeletionOrder): Promise<DeletedJob[]>;
  /** Which of these jobs have entries that are still on their way to the ledger or the database. */
  underWay(order: DeletionOrder, jobs: readonly DeletedJob[]): Promise<boolean>;
  /** Of these recordings of a tenant, those that a run has which is on its way to the database. */
  stillUsed(tenantId: string, sha256: readonly string[]): Promise<Set<string>>;
  /** Removes state, specification, cached result, webhooks that wait and dead letters of jobs. */
  erase(
    order: DeletionOrder,
    jobs: readonly DeletedJob[],
  ): Promise<{ jobs: number; results: number; webhooks: number; messages: number }>;
  /** Removes what stages gave of recordings that were last worked on before then (Unix ms). */
  eraseOldStages(
    owner: Pick<DeletionOrder, "tenant_id" | "residency">,
    beforeMs: number,
  ): Promise<number>;
  /** Removes what stages gave for these recordings; for all of the tenant's when `sha256` is undefined. */
  eraseStages(
    owner: Pick<DeletionOrder, "tenant_id" | "residency">,
    sha256: readonly string[] | undefined,
  ): Promise<number>;
}

const PAGE = 500;
const DAY_MS = 86_400_000;
/** As regions/webhooks names its keys. */
const webhooks = "{antiphon}:webhook:";
/** Streams of what was put aside, or is worth nothing without its job. */
const MESSAGES = [
  resultKeys.deadOffers,
  resultKeys.deadOutbox,
  resultKeys.webhooks,
  `${resultKeys.webhooks}:dead`,
  `${webhooks}rows`,
  `${webhooks}rows:dead`,
];
const JOB = /job_[a-z]{3}_[0-9a-f-]{36}/;
const TENANT = /"tenant_id":"(ten_[a-z0-9_-]+)"/;
const AUDIO = /"audio_sha256":"([0-9a-f]{64})"/;

export function createEraseJobs(redis: Redis): EraseJobs {
  const forgetDelivery = define(redis, "forget-delivery", 4);
  redis.defineCommand("antiphon_forget_stages", {
    numberOfKeys: 4,
    lua: readFileSync(new URL("./forget-stages.lua", import.meta.url), "utf8"),
  });
  const forgetStages = (recording: string) =>
    (redis as unknown as Record<string, (...keys: string[]) => Promise<unknown>>)[
      "antiphon_forget_stages"
    ]!(recording, stageKeys.index, stageKeys.sizes, stageKeys.total);

  async function* scan(pattern: string): AsyncGenerator<string[]> {
    let cursor = "0";
    do {
      const [next, keys] = await redis.scan(cursor, "MATCH", pattern, "COUNT", PAGE);
      cursor = next;
      if (keys.length > 0) yield keys;
    } while (cursor !== "0");
  }

  async function* entriesOf(stream: string): AsyncGenerator<{ id: string; text: string }> {
    let after = "-";
    for (;;) {
      const page = await redis.xrange(stream, after, "+", "COUNT", PAGE);
      for (const [id, fields] of page) yield { id, text: fields.join("\n") };
      if (page.length < PAGE) return;
      after = `(${page.at(-1)![0]}`;
    }
  }

  function matcher(order: DeletionOrder, jobs: readonly DeletedJob[]) {
    const ids = new Set(jobs.map(({ id }) => id));
    return (text: string): boolean => {
      const id = JOB.exec(text)?.[0];
      if (id === undefined || TENANT.exec(text)?.[1] !== order.tenant_id) return false;
      const createdAtMs = readId(id)?.createdAtMs;
      return ids.has(id) || (createdAtMs !== undefined && coversJob(order, { id, createdAtMs }));
    };
  }

  async function describe(id: string, spec: string | null): Promise<DeletedJob> {
    const read = spec === null ? undefined : JobSpec.safeParse(JSON.parse(spec)).data;
    const result = await redis.get(resultKeys.result(id));
    const made = /"sha256":"([0-9a-f]{64})"/.exec(result ?? "")?.[1] ?? read?.audio_sha256;
    const sha256 = Sha256Hex.safeParse(made).data;
    return {
      id,
      ...(read ? inputOf(read) : {}),
      ...(sha256 === undefined ? {} : { sha256 }),
    };
  }

  return {
    async find(order) {
      const { scope, tenant_id } = order;
      if ("job_id" in scope) {
        const spec = await redis.get(resultKeys.spec(scope.job_id));
        const job = await describe(scope.job_id, spec);
        // Whoever names a foreign job deletes nothing.
        return spec !== null && TENANT.exec(spec)?.[1] !== tenant_id ? [] : [job];
      }
      const found: DeletedJob[] = [];
      for await (const keys of scan(resultKeys.spec("*"))) {
        for (const text of await redis.mget(keys)) {
          const spec = text === null ? undefined : JobSpec.safeParse(JSON.parse(text)).data;
          if (spec?.tenant_id !== tenant_id) continue;
          const job = {
            id: spec.id,
            createdAtMs: readId(spec.id)!.createdAtMs,
            userId: spec.user_id,
          };
          if (coversJob(order, job)) found.push(await describe(spec.id, text));
        }
      }
      return found;
    },

    async underWay(order, jobs) {
      const isOfOrder = matcher(order, jobs);
      for (const stream of [resultKeys.offers, resultKeys.outbox]) {
        for await (const { text } of entriesOf(stream)) if (isOfOrder(text)) return true;
      }
      return false;
    },

    async stillUsed(tenantId, sha256) {
      const used = new Set<string>();
      if (sha256.length === 0) return used;
      for (const stream of [resultKeys.offers, resultKeys.outbox]) {
        for await (const { text } of entriesOf(stream)) {
          const hash = AUDIO.exec(text)?.[1];
          if (hash && sha256.includes(hash) && TENANT.exec(text)?.[1] === tenantId) used.add(hash);
        }
      }
      return used;
    },

    async erase(order, jobs) {
      const removed = { jobs: 0, results: 0, webhooks: 0, messages: 0 };
      for (const { id } of jobs) {
        removed.jobs += (await redis.del(resultKeys.job(id), resultKeys.spec(id))) > 0 ? 1 : 0;
        removed.results += await redis.del(resultKeys.result(id));
      }
      const isOfOrder = matcher(order, jobs);
      for await (const keys of scan(`${webhooks}delivery:*`)) {
        for (const key of keys) {
          if (!isOfOrder((await redis.get(key)) ?? "")) continue;
          const id = key.slice(`${webhooks}delivery:`.length);
          const room = `${webhooks}room:${order.tenant_id}`;
          const sealed = `${webhooks}sealed:${id}`;
          removed.webhooks += Number(
            await forgetDelivery(key, sealed, room, `${webhooks}pending`, id),
          );
        }
      }
      for (const stream of MESSAGES) {
        for await (const { id, text } of entriesOf(stream)) {
          if (isOfOrder(text)) removed.messages += await redis.xdel(stream, id);
        }
      }
      return removed;
    },

    async eraseOldStages({ tenant_id, residency }, beforeMs) {
      const owner = { tenantId: tenant_id, residency };
      let removed = 0;
      for (const days of lives) {
        for await (const keys of scan(stageKeys.recording({ owner, sha256: "*" }, days))) {
          for (const key of keys) {
            const endsMs = Number((await redis.zscore(stageKeys.index, key)) ?? 0);
            if (endsMs - days * DAY_MS < beforeMs) removed += Number(await forgetStages(key));
          }
        }
      }
      return removed;
    },

    async eraseStages({ tenant_id, residency }, sha256) {
      const owner = { tenantId: tenant_id, residency };
      let removed = 0;
      if (sha256 !== undefined) {
        for (const hash of sha256) {
          for (const days of lives) {
            removed += Number(
              await forgetStages(stageKeys.recording({ owner, sha256: hash }, days)),
            );
          }
        }
        return removed;
      }
      for (const days of lives) {
        for await (const keys of scan(stageKeys.recording({ owner, sha256: "*" }, days))) {
          for (const key of keys) removed += Number(await forgetStages(key));
        }
      }
      return removed;
    },
  };
}

import { readFileSync } from "node:fs";
import type { CompletionOffer, OutboxEnvelope } from "../../shared/contracts/completion.ts";
import type { Redis } from "./redis.ts";
import { groups, resultKeys } from "./result-keys.ts";

/** The atomic steps from an offer to the database. Each is safe to repeat. */
export interface Scripts {
  settle(
    entryId: string,
    offer: CompletionOffer,
    envelope: OutboxEnvelope,
  ): Promise<"settled" | "gone">;
  discard(entryId: string, offer: CompletionOffer): Promise<void>;
  buryOffer(entryId: string, reason: string): Promise<void>;
  buryEnvelope(entryId: string, reason: string): Promise<void>;
  /** Removes outbox entries; returns how many were still there. */
  trimOutbox(entryIds: readonly string[]): Promise<number>;
}

/** How long a region remembers a final job, in seconds; the ledger and the database remember it for longer. */
const KEEP_FINAL_S = 86_400;

/** Registers the scripts on this connection (sent once, called by hash afterwards). */
export function createScripts(redis: Redis): Scripts {
  const settle = define(redis, "settle", 4);
  const discard = define(redis, "discard", 3);
  const bury = define(redis, "bury", 2);
  const trim = define(redis, "trim", 1);
  const { offers, deadOffers, outbox, deadOutbox } = resultKeys;

  return {
    async settle(entryId, { job_id, epoch, status }, envelope) {
      const keys = [resultKeys.job(job_id), resultKeys.spec(job_id), offers, outbox];
      const run = [String(epoch.dispatch), String(epoch.attempt)];
      const args = [
        entryId,
        groups.offers,
        ...run,
        status,
        String(KEEP_FINAL_S),
        JSON.stringify(envelope),
        resultKeys.events,
      ];
      return (await settle(...keys, ...args)) as "settled" | "gone";
    },
    async discard(entryId, { job_id, epoch }) {
      const run = [String(epoch.dispatch), String(epoch.attempt)];
      const keys = [resultKeys.job(job_id), resultKeys.spec(job_id), offers];
      await discard(...keys, entryId, groups.offers, ...run, resultKeys.events);
    },
    async buryOffer(entryId, reason) {
      await bury(offers, deadOffers, entryId, groups.offers, reason);
    },
    async buryEnvelope(entryId, reason) {
      await bury(outbox, deadOutbox, entryId, groups.outbox, reason);
    },
    async trimOutbox(entryIds) {
      return entryIds.length === 0 ? 0 : Number(await trim(outbox, groups.outbox, ...entryIds));
    },
  };
}

type Command = (...args: string[]) => Promise<unknown>;

function define(redis: Redis, name: string, numberOfKeys: number): Command {
  const lua = readFileSync(new URL(`./${name}.lua`, import.meta.url), "utf8");
  const command = `antiphon_${name}`;
  redis.defineCommand(command, { numberOfKeys, lua });
  return (...args) => (redis as unknown as Record<string, Command>)[command]!(...args);
}

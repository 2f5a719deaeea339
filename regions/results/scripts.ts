import { readFileSync } from "node:fs";
import type { CompletionOffer, OutboxEnvelope } from "../../shared/contracts/completion.ts";
import { withJobRows } from "../ops/job-row.ts";
import type { Redis } from "./redis.ts";
import { groups, resultKeys } from "./result-keys.ts";
import type { WebhookEvent } from "./webhook-event.ts";

/** The atomic steps from an offer to the database. Each is safe to repeat. */
export interface Scripts {
  /** `event`: what webhooks tell of it. */
  settle(
    entryId: string,
    offer: CompletionOffer,
    envelope: OutboxEnvelope,
    event?: WebhookEvent,
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
  const settle = define(redis, "settle", 5, { prepare: withJobRows });
  const discard = define(redis, "discard", 3, { prepare: withJobRows });
  const bury = define(redis, "bury", 2);
  const trim = define(redis, "trim", 1);
  const { offers, deadOffers, outbox, deadOutbox } = resultKeys;

  return {
    async settle(entryId, { job_id, epoch, status }, envelope, event) {
      const { webhooks } = resultKeys;
      const keys = [resultKeys.job(job_id), resultKeys.spec(job_id), offers, outbox, webhooks];
      const run = [String(epoch.dispatch), String(epoch.attempt)];
      const args = [
        entryId,
        groups.offers,
        ...run,
        status,
        String(KEEP_FINAL_S),
        JSON.stringify(envelope),
        resultKeys.events,
        event === undefined ? "" : JSON.stringify(event),
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

export type Command = (...args: string[]) => Promise<unknown>;

export interface DefineOptions {
  /** URL of the module that the script lies beside; this one, unless given. */
  beside?: string;
  /** Makes the text that is sent out of the script's. */
  prepare?(script: string): string;
}

/** A script as a command of the connection: keys first, then arguments. */
export function define(
  redis: Redis,
  name: string,
  numberOfKeys: number,
  { beside = import.meta.url, prepare = (script) => script }: DefineOptions = {},
): Command {
  const lua = prepare(readFileSync(new URL(`./${name}.lua`, beside), "utf8"));
  const command = `antiphon_${name.replaceAll("-", "_")}`;
  redis.defineCommand(command, { numberOfKeys, lua });
  return (...args) => (redis as unknown as Record<string, Command>)[command]!(...args);
}

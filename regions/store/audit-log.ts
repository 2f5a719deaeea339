import type { DeletionOrder } from "../../shared/contracts/deletions.ts";
import { hashUser } from "../../shared/signing/hash-user.ts";
import { isPartitionMissing } from "./database-error.ts";
import type { Database, Transaction } from "./database.ts";
import { ensurePartitions, monthOf } from "./partitions.ts";
import { type ReplayOptions, TIMELINE } from "./replay.ts";
import { auditLog } from "./schema.ts";

/** Who asked for an admin act: a key id, or the name of a process; and in which request. */
export interface Actor {
  actor: string;
  requestId?: string;
}

export interface AuditEntry {
  action:
    | "tenant.create"
    | "tenant.change"
    | "key.create"
    | "key.grant"
    | "key.rotate"
    | "key.revoke"
    | "webhook.create"
    | "webhook.change"
    | "webhook.rotate"
    | "webhook.stop"
    | "webhook.delete"
    | "dead_letter.replay"
    | "dead_letter.discard";
  target: string;
  details?: Record<string, unknown>;
}

/** Writes an act into the audit log, in the transaction of the act itself. */
export async function writeAudit(
  transaction: Transaction,
  by: Actor,
  entry: AuditEntry,
): Promise<void> {
  await transaction.insert(auditLog).values({
    id: crypto.randomUUID(),
    created_at: new Date(),
    actor: by.actor,
    request_id: by.requestId ?? null,
    action: entry.action,
    target: entry.target,
    details: entry.details ?? null,
  });
}

/** The log for acts that change nothing in the database besides. */
export interface AuditLog {
  /** Settles once a replica has it. @throws ApiError dependency_unavailable */
  write(entry: AuditEntry, by: Actor, options?: ReplayOptions): Promise<void>;
}

export const createAuditLog = (database: Pick<Database, "controlWrite">): AuditLog => ({
  write: (entry, by, options) =>
    database.controlWrite((transaction) => writeAudit(transaction, by, entry), options),
});

/**
 * Writes down who asked for a deletion, and when; whichever region comes first writes it, the others change nothing. Which end user
 * it was stays a hash. Settles to the timeline that it was written on.
 */
export async function auditDeletion(
  primary: Database["primary"],
  { id, tenant_id, scope, requested_at, asked_by }: DeletionOrder,
): Promise<number | undefined> {
  if (!asked_by) return undefined;
  const what = "user_id" in scope ? { user_hash: await hashUser(tenant_id, scope.user_id) } : scope;
  const write = async () => {
    const [row] = await primary<[{ timeline: number }]>`
      with written as (insert into audit_log (id, created_at, actor, action, target, request_id, details)
      values (${id.slice("del_".length)}, ${requested_at}::text::timestamptz, ${asked_by.actor}, 'deletion.request', ${id},
        ${asked_by.request_id}, ${JSON.stringify({ tenant_id, ...what })}::text::jsonb)
      on conflict do nothing)
      select ${primary.unsafe(TIMELINE)} as timeline`;
    return row.timeline;
  };
  return write().catch(async (error: unknown) => {
    if (!isPartitionMissing(error)) throw error;
    await ensurePartitions(primary, [monthOf(Date.parse(requested_at))]);
    return write();
  });
}

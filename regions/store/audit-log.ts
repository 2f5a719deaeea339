import type { Transaction } from "./database.ts";
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
    | "webhook.delete";
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

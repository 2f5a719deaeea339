import type { WebhookEventType } from "../../shared/contracts/webhooks.ts";
import {
  bigint,
  boolean,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
} from "./drizzle.ts";

/* The tables of webhooks as drizzle sees them; migrations/0003_webhooks.sql makes them. */

const moment = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

export const webhookEndpoints = pgTable("webhook_endpoints", {
  id: text().primaryKey(),
  tenant_id: text().notNull(),
  url: text().notNull(),
  events: text().array().notNull().$type<WebhookEventType[]>(),
  include_result: boolean().notNull(),
  status: text().notNull().$type<"active" | "paused" | "disabled">(),
  status_reason: text(),
  status_since: moment("status_since").notNull().defaultNow(),
  created_at: moment("created_at").notNull().defaultNow(),
});

export const webhookSecrets = pgTable("webhook_secrets", {
  id: text().primaryKey(),
  /** An endpoint, or the tenant itself. */
  owner: text().notNull(),
  tenant_id: text().notNull(),
  sealed: text().notNull(),
  expires_at: moment("expires_at"),
  created_at: moment("created_at").notNull().defaultNow(),
});

/** `created_at` is the time inside the job id. */
export const webhookDeliveries = pgTable(
  "webhook_deliveries",
  {
    id: text().notNull(),
    created_at: moment("created_at").notNull(),
    tenant_id: text().notNull(),
    residency: text().notNull(),
    region: text().notNull(),
    job_id: text().notNull(),
    event: text().notNull(),
    webhook_id: text().notNull(),
    endpoint_id: text(),
    url: text(),
    include_result: boolean().notNull(),
    facts: jsonb().$type<Record<string, unknown>>().notNull(),
    result_key: text(),
    status: text().notNull(),
    attempts: integer().notNull(),
    response_status: integer(),
    error: text(),
    last_attempt_at: moment("last_attempt_at"),
    next_attempt_at: moment("next_attempt_at"),
    version: bigint({ mode: "number" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.id, table.created_at] })],
);

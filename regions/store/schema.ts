import type { Retention, TenantLimits } from "../../shared/contracts/tenant-settings.ts";
import {
  doublePrecision,
  index,
  integer,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} from "./drizzle.ts";

/* The tables as drizzle sees them; migrations/*.sql make them, with partitions and checks that drizzle cannot state. */

const moment = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

export const tenants = pgTable("tenants", {
  id: text().primaryKey(),
  name: text().notNull(),
  residency: text().notNull(),
  created_at: moment("created_at").notNull().defaultNow(),
  limits: jsonb().$type<TenantLimits>(),
  cors_origins: text().array().notNull().default([]),
  retention: jsonb().$type<Retention>().notNull().default({}),
});

export const jwtIssuers = pgTable(
  "jwt_issuers",
  {
    issuer: text().notNull(),
    audience: text().notNull(),
    tenant_id: text()
      .notNull()
      .references(() => tenants.id),
    jwks_uri: text().notNull(),
    algorithms: text().array().notNull(),
    scopes: text().array().notNull(),
  },
  (table) => [primaryKey({ columns: [table.issuer, table.audience] })],
);

export const apiKeys = pgTable("api_keys", {
  id: text().primaryKey(),
  key_hash: text().notNull().unique(),
  tenant_id: text()
    .notNull()
    .references(() => tenants.id),
  name: text().notNull(),
  scopes: text().array().notNull(),
  expires_at: moment("expires_at"),
  revoked_at: moment("revoked_at"),
  created_at: moment("created_at").notNull().defaultNow(),
});

/** `created_at` is the time inside the job id: a later run falls into the same partition and onto the same row. */
export const jobs = pgTable(
  "jobs",
  {
    id: text().notNull(),
    created_at: moment("created_at").notNull(),
    tenant_id: text().notNull(),
    kind: text().notNull(),
    residency: text().notNull(),
    region: text().notNull(),
    priority: text().notNull(),
    dispatch: integer().notNull(),
    attempt: integer().notNull(),
    status: text().notNull(),
    error_code: text(),
    user_id: text(),
    metadata: jsonb().$type<Record<string, string>>(),
    audio_sha256: text(),
    audio_duration_s: doublePrecision(),
    result_key: text(),
    started_at: moment("started_at"),
    finished_at: moment("finished_at"),
    usd: numeric({ precision: 18, scale: 9, mode: "number" }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.id, table.created_at] }),
    index("jobs_by_tenant").on(table.tenant_id, table.created_at.desc(), table.id.desc()),
    index("jobs_by_user").on(table.tenant_id, table.user_id, table.created_at),
  ],
);

/** Only of tenants whose residency is global. */
export const results = pgTable(
  "results",
  {
    job_id: text().notNull(),
    created_at: moment("created_at").notNull(),
    tenant_id: text().notNull(),
    dispatch: integer().notNull(),
    attempt: integer().notNull(),
    result: jsonb().$type<Record<string, unknown>>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.job_id, table.created_at] })],
);

export const usageEvents = pgTable(
  "usage_events",
  {
    job_id: text().notNull(),
    stage: text().notNull(),
    created_at: moment("created_at").notNull(),
    tenant_id: text().notNull(),
    quantity: doublePrecision().notNull(),
    unit: text().notNull(),
    usd: numeric({ precision: 18, scale: 9, mode: "number" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.job_id, table.stage, table.created_at] })],
);

export const auditLog = pgTable(
  "audit_log",
  {
    id: uuid().notNull(),
    created_at: moment("created_at").notNull(),
    actor: text().notNull(),
    action: text().notNull(),
    target: text().notNull(),
    request_id: text(),
    details: jsonb().$type<Record<string, unknown>>(),
  },
  (table) => [primaryKey({ columns: [table.id, table.created_at] })],
);

/** The tables that are partitioned by month on `created_at`. */
export const partitionedTables = [
  "jobs",
  "results",
  "usage_events",
  "audit_log",
  "webhook_deliveries",
] as const;

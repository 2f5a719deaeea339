import type { z } from "zod";
import {
  MAX_WEBHOOK_ENDPOINTS,
  type ChangeWebhookEndpoint,
  type RotatedWebhookSecret,
  type RotateSecretOf,
  type StoreWebhookEndpoint,
  type WebhookEndpoint,
  type WebhookEventType,
} from "../../shared/contracts/webhooks.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { SecretBox } from "../ops/secret-box.ts";
import { writeAudit, type Actor } from "./audit-log.ts";
import type { Database, Orm, Transaction } from "./database.ts";
import { and, asc, eq, inArray, sql } from "./drizzle.ts";
import type { ReplayOptions } from "./replay.ts";
import { tenants } from "./schema.ts";
import { webhookEndpoints } from "./webhook-schema.ts";
import { createWebhookSecrets } from "./webhook-secrets.ts";

/** What a delivery to an endpoint needs. */
export interface WebhookTarget {
  url: string;
  status: "active" | "paused" | "disabled";
  statusSinceMs: number;
  includeResult: boolean;
  /** All sign. */
  secrets: string[];
}

/** Who wants to hear of what. */
export interface Subscription {
  endpointId: string;
  tenantId: string;
  events: readonly WebhookEventType[];
}

/** Endpoints and secrets of webhooks: written on the primary, read at this region's server. Writes are control writes. */
export interface WebhookEndpoints {
  /** Repeating it with the same ids changes nothing. @throws ApiError not_found | invalid_request | dependency_unavailable */
  store(
    wanted: z.output<typeof StoreWebhookEndpoint>,
    by: Actor,
    options?: ReplayOptions,
  ): Promise<WebhookEndpoint & { secret: string }>;
  list(tenantId: string): Promise<WebhookEndpoint[]>;
  /** @throws ApiError not_found */
  find(tenantId: string, id: string): Promise<WebhookEndpoint>;
  /** @throws ApiError not_found | dependency_unavailable */
  change(
    wanted: z.output<typeof ChangeWebhookEndpoint>,
    by: Actor,
    options?: ReplayOptions,
  ): Promise<WebhookEndpoint>;
  /** @throws ApiError not_found | dependency_unavailable */
  remove(tenantId: string, id: string, by: Actor, options?: ReplayOptions): Promise<void>;
  /** A new secret, of a tenant its first one too. @throws ApiError not_found | dependency_unavailable */
  rotate(
    wanted: z.output<typeof RotateSecretOf>,
    by: Actor,
    options?: ReplayOptions,
  ): Promise<RotatedWebhookSecret>;
  /** Stops an endpoint that fails, unless its owner has changed its status since `atMs`. */
  stop(
    id: string,
    how: { status: "paused" | "disabled"; reason: string; atMs: number },
    by: Actor,
    options?: ReplayOptions,
  ): Promise<void>;
  /** Of these tenants, all endpoints but the disabled, those included that were made a moment ago. */
  subscriptions(tenantIds: readonly string[]): Promise<Subscription[]>;
  /** Undefined when it is gone; asked of the primary too where it is not here. */
  target(endpointId: string): Promise<WebhookTarget | undefined>;
  /** What signs for the `webhook_url` of a tenant's jobs; asked of the primary too while there is none here. */
  tenantSecrets(tenantId: string): Promise<string[]>;
}

const noEndpoint = (id: string) => new ApiError("not_found", `There is no webhook endpoint ${id}.`);

export function createWebhookEndpoints(database: Database, box: SecretBox): WebhookEndpoints {
  const secrets = createWebhookSecrets(box);

  async function lockTenant(transaction: Transaction, tenantId: string): Promise<void> {
    const [tenant] = await transaction
      .select({ id: tenants.id })
      .from(tenants)
      .where(eq(tenants.id, tenantId))
      .for("update");
    if (!tenant) throw new ApiError("not_found", `There is no tenant ${tenantId}.`);
  }

  const ofTenant = (tenantId: string, id: string) =>
    and(eq(webhookEndpoints.id, id), eq(webhookEndpoints.tenant_id, tenantId));

  async function rowOf(orm: Pick<Orm, "select">, tenantId: string, id: string) {
    const [row] = await orm.select().from(webhookEndpoints).where(ofTenant(tenantId, id));
    if (!row) throw noEndpoint(id);
    return row;
  }

  const secretsOf = (tenantId: string) => (orm: Orm) => secrets.valid(orm, tenantId);

  return {
    store: ({ endpoint_id: id, tenant_id, secret_id, url, events, include_result }, by, options) =>
      database.controlWrite(async (transaction) => {
        await lockTenant(transaction, tenant_id);
        const made = await transaction
          .insert(webhookEndpoints)
          .values({ id, tenant_id, url, events, include_result, status: "active" })
          .onConflictDoNothing()
          .returning({ id: webhookEndpoints.id });
        if (made.length > 0) {
          const count = await transaction.$count(
            webhookEndpoints,
            eq(webhookEndpoints.tenant_id, tenant_id),
          );
          if (count > MAX_WEBHOOK_ENDPOINTS) {
            throw new ApiError(
              "invalid_request",
              `A tenant has ${MAX_WEBHOOK_ENDPOINTS} endpoints at most; delete one first.`,
            );
          }
          await writeAudit(transaction, by, {
            action: "webhook.create",
            target: id,
            details: { tenant_id, events },
          });
        }
        const row = await rowOf(transaction, tenant_id, id);
        const secret = await secrets.make(transaction, secret_id, {
          owner: id,
          tenantId: tenant_id,
        });
        return { ...toEndpoint(row), secret };
      }, options),

    async list(tenantId) {
      const rows = await database.read((orm) =>
        orm
          .select()
          .from(webhookEndpoints)
          .where(eq(webhookEndpoints.tenant_id, tenantId))
          .orderBy(asc(webhookEndpoints.created_at), asc(webhookEndpoints.id)),
      );
      return rows.map(toEndpoint);
    },

    async find(tenantId, id) {
      const [row] = await database.read((orm) =>
        orm.select().from(webhookEndpoints).where(ofTenant(tenantId, id)),
      );
      if (!row) throw noEndpoint(id);
      return toEndpoint(row);
    },

    change: ({ endpoint_id: id, tenant_id, status, ...wanted }, by, options) =>
      database.controlWrite(async (transaction) => {
        const before = await rowOf(transaction, tenant_id, id);
        const [row] = await transaction
          .update(webhookEndpoints)
          .set({
            url: wanted.url ?? before.url,
            events: wanted.events ?? before.events,
            include_result: wanted.include_result ?? before.include_result,
            // To ask for the status that it has is to say so anew: what failed before counts no more.
            ...(status === undefined
              ? {}
              : {
                  status,
                  status_reason: status === "paused" ? "paused by its owner" : null,
                  status_since: sql`now()`,
                }),
          })
          .where(ofTenant(tenant_id, id))
          .returning();
        if (!row) throw noEndpoint(id);
        await writeAudit(transaction, by, {
          action: "webhook.change",
          target: id,
          details: { tenant_id, ...(status === undefined ? {} : { status }) },
        });
        return toEndpoint(row);
      }, options),

    remove: (tenantId, id, by, options) =>
      database.controlWrite(async (transaction) => {
        const gone = await transaction
          .delete(webhookEndpoints)
          .where(ofTenant(tenantId, id))
          .returning({ id: webhookEndpoints.id });
        if (gone.length === 0) throw noEndpoint(id);
        await secrets.remove(transaction, id);
        await writeAudit(transaction, by, {
          action: "webhook.delete",
          target: id,
          details: { tenant_id: tenantId },
        });
      }, options),

    rotate: ({ tenant_id, endpoint_id, secret_id, overlap_s }, by, options) =>
      database.controlWrite(async (transaction) => {
        await lockTenant(transaction, tenant_id);
        if (endpoint_id !== undefined) await rowOf(transaction, tenant_id, endpoint_id);
        const owner = endpoint_id ?? tenant_id;
        const rotated = await secrets.rotate(
          transaction,
          secret_id,
          { owner, tenantId: tenant_id },
          overlap_s,
        );
        await writeAudit(transaction, by, {
          action: "webhook.rotate",
          target: owner,
          details: { tenant_id, overlap_s },
        });
        return rotated;
      }, options),

    stop: (id, { status, reason, atMs }, by, options) =>
      database.controlWrite(async (transaction) => {
        const stopped = await transaction
          .update(webhookEndpoints)
          .set({ status, status_reason: reason, status_since: sql`now()` })
          .where(
            and(
              eq(webhookEndpoints.id, id),
              eq(webhookEndpoints.status, "active"),
              sql`${webhookEndpoints.status_since} <= ${new Date(atMs).toISOString()}::text::timestamptz`,
            ),
          )
          .returning({ tenant_id: webhookEndpoints.tenant_id });
        if (stopped.length === 0) return;
        await writeAudit(transaction, by, {
          action: "webhook.stop",
          target: id,
          details: { ...stopped[0], status, reason },
        });
      }, options),

    async subscriptions(tenantIds) {
      if (tenantIds.length === 0) return [];
      const ofTenants = (orm: Orm) =>
        orm
          .select()
          .from(webhookEndpoints)
          .where(
            and(
              inArray(webhookEndpoints.tenant_id, [...tenantIds]),
              sql`${webhookEndpoints.status} <> 'disabled'`,
            ),
          );
      const rows = await database.readNewest(ofTenants);
      return rows.map(({ id, tenant_id, events }) => ({
        endpointId: id,
        tenantId: tenant_id,
        events,
      }));
    },

    async target(endpointId) {
      const byId = async (orm: Orm) => {
        const [row] = await orm
          .select()
          .from(webhookEndpoints)
          .where(eq(webhookEndpoints.id, endpointId));
        return row && { row, valid: await secrets.valid(orm, endpointId) };
      };
      const found = (await database.read(byId)) ?? (await database.readPrimary(byId));
      if (!found) return undefined;
      const { row, valid } = found;
      return {
        url: row.url,
        status: row.status,
        statusSinceMs: row.status_since.getTime(),
        includeResult: row.include_result,
        secrets: secrets.open(valid),
      };
    },

    async tenantSecrets(tenantId) {
      const near = await database.read(secretsOf(tenantId));
      const found = near.length > 0 ? near : await database.readPrimary(secretsOf(tenantId));
      return secrets.open(found);
    },
  };
}

const toEndpoint = (row: typeof webhookEndpoints.$inferSelect): WebhookEndpoint => ({
  id: row.id,
  url: row.url,
  events: row.events,
  include_result: row.include_result,
  status: row.status,
  status_reason: row.status_reason,
  status_since: row.status_since.toISOString(),
  created_at: row.created_at.toISOString(),
});

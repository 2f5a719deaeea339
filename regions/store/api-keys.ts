import { and, asc, eq, gt, sql } from "./drizzle.ts";
import type { z } from "zod";
import { KeyRecord, type Scope } from "../../shared/contracts/api-key.ts";
import {
  KeyList,
  type ListKeys,
  RotateKeyAnswer,
  type RevokeKeyAnswer,
  type RotateKey,
  type StoreKey,
} from "../../shared/contracts/internal-api.ts";
import { KeyId } from "../../shared/contracts/ids.ts";
import {
  keepsResults,
  type Retention,
  type TenantLimits,
} from "../../shared/contracts/tenant-settings.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { writeAudit, type Actor } from "./audit-log.ts";
import type { Database, Orm } from "./database.ts";
import { invalidCursor, readCursor, writeCursor } from "./list-cursor.ts";
import type { ReplayOptions } from "./replay.ts";
import { apiKeys, tenants } from "./schema.ts";

export interface ApiKeys {
  /**
   * The record of a key by its SHA-256. What this region's server does not know is asked of the primary, so that a key
   * works as soon as it was given out; with the primary away the answer is the server's own.
   * @throws ApiError dependency_unavailable when neither answers
   */
  lookup(keyHash: string): Promise<KeyRecord | null>;
  /**
   * Stores a key's hash; repeating it with the same hash changes nothing.
   * @throws ApiError not_found (no such tenant) | invalid_request (id or hash belongs to another key) | dependency_unavailable
   */
  store(key: StoreKey, by: Actor, options?: ReplayOptions): Promise<KeyRecord>;
  /**
   * Gives a key the scopes that it lacks of these; it keeps those that it has.
   * @throws ApiError not_found | dependency_unavailable
   */
  grant(
    keyId: string,
    scopes: readonly Scope[],
    by: Actor,
    options?: ReplayOptions,
  ): Promise<KeyRecord>;
  /**
   * Revokes a key for good; repeating it answers the first time.
   * @throws ApiError not_found | dependency_unavailable
   */
  revoke(
    keyId: string,
    by: Actor,
    options?: ReplayOptions,
  ): Promise<z.infer<typeof RevokeKeyAnswer>>;
  /**
   * Makes a key like another, which then ends after the overlap, or when it would have ended anyway; repeating it with the same
   * new key changes nothing.
   * @throws ApiError not_found | invalid_request (the old key is over, or the new one's id or hash is taken) | dependency_unavailable
   */
  rotate(
    order: z.infer<typeof RotateKey>,
    by: Actor,
    options?: ReplayOptions,
  ): Promise<z.infer<typeof RotateKeyAnswer>>;
  /**
   * A tenant's keys by id, a page at a time.
   * @throws ApiError invalid_request (a foreign cursor) | dependency_unavailable
   */
  list(query: z.infer<typeof ListKeys>): Promise<KeyList>;
}

export function createApiKeys(database: Database): ApiKeys {
  const byHash = (keyHash: string) => async (orm: Orm) => {
    const [row] = await selectKeys(orm).where(eq(apiKeys.key_hash, keyHash));
    return row ? toRecord(row) : null;
  };

  return {
    async lookup(keyHash) {
      const near = await database.read(byHash(keyHash));
      if (near) return near;
      try {
        return await database.readPrimary(byHash(keyHash));
      } catch (error) {
        if (error instanceof ApiError && error.code === "dependency_unavailable") return null;
        throw error;
      }
    },

    store: (key, by, options) =>
      database.controlWrite(async (transaction) => {
        const [tenant] = await transaction
          .select()
          .from(tenants)
          .where(eq(tenants.id, key.tenant_id));
        if (!tenant) throw new ApiError("not_found", `There is no tenant ${key.tenant_id}.`);
        const made = await transaction
          .insert(apiKeys)
          .values({
            id: key.key_id,
            key_hash: key.key_hash,
            tenant_id: key.tenant_id,
            name: key.name,
            scopes: key.scopes,
            expires_at: key.expires_at === null ? null : new Date(key.expires_at),
          })
          .onConflictDoNothing()
          .returning({ id: apiKeys.id });
        if (made.length > 0) {
          await writeAudit(transaction, by, {
            action: "key.create",
            target: key.key_id,
            details: { tenant_id: key.tenant_id, scopes: key.scopes },
          });
        }
        const [row] = await selectKeys(transaction).where(eq(apiKeys.id, key.key_id));
        if (!row || row.key_hash !== key.key_hash || row.tenant_id !== key.tenant_id) {
          throw new ApiError("invalid_request", "The key's id or hash belongs to another key.");
        }
        return toRecord(row);
      }, options),

    grant: (keyId, scopes, by, options) =>
      database.controlWrite(async (transaction) => {
        const [before] = await selectKeys(transaction).where(eq(apiKeys.id, keyId)).for("update");
        if (!before) throw new ApiError("not_found", `There is no key ${keyId}.`);
        const lacking = scopes.filter((scope) => !before.scopes.includes(scope));
        if (lacking.length === 0) return toRecord(before);
        const granted = { scopes: [...before.scopes, ...lacking] };
        await transaction.update(apiKeys).set(granted).where(eq(apiKeys.id, keyId));
        await writeAudit(transaction, by, {
          action: "key.grant",
          target: keyId,
          details: { scopes: lacking },
        });
        return toRecord({ ...before, ...granted });
      }, options),

    revoke: (keyId, by, options) =>
      database.controlWrite(async (transaction) => {
        const [before] = await transaction
          .select({ revoked_at: apiKeys.revoked_at })
          .from(apiKeys)
          .where(eq(apiKeys.id, keyId))
          .for("update");
        if (!before) throw new ApiError("not_found", `There is no key ${keyId}.`);
        const [row] = await transaction
          .update(apiKeys)
          .set({ revoked_at: sql`coalesce(${apiKeys.revoked_at}, now())` })
          .where(eq(apiKeys.id, keyId))
          .returning();
        if (!before.revoked_at)
          await writeAudit(transaction, by, { action: "key.revoke", target: keyId });
        return {
          key_id: keyId,
          key_hash: row!.key_hash,
          revoked_at: row!.revoked_at!.toISOString(),
        };
      }, options),

    rotate: (order, by, options) =>
      database.controlWrite(async (transaction) => {
        const [old] = await transaction
          .select()
          .from(apiKeys)
          .where(eq(apiKeys.id, order.key_id))
          .for("update");
        if (!old) throw new ApiError("not_found", `There is no key ${order.key_id}.`);
        const { tenant_id, name, scopes } = old;
        const [there] = await transaction
          .select()
          .from(apiKeys)
          .where(eq(apiKeys.id, order.new_key_id));
        const repeated = there?.key_hash === order.new_key_hash && there.tenant_id === tenant_id;
        let endsAt = old.expires_at;
        if (!repeated) {
          const now = Date.now();
          if (old.revoked_at || (old.expires_at && old.expires_at.getTime() <= now)) {
            throw new ApiError("invalid_request", "The key is over: create another.");
          }
          const made = await transaction
            .insert(apiKeys)
            .values({
              id: order.new_key_id,
              key_hash: order.new_key_hash,
              tenant_id,
              name,
              scopes,
              expires_at: null,
            })
            .onConflictDoNothing()
            .returning({ id: apiKeys.id });
          if (made.length === 0) {
            throw new ApiError("invalid_request", "The key's id or hash belongs to another key.");
          }
          const overlapEnds = new Date(now + order.overlap_s * 1000);
          endsAt = endsAt && endsAt < overlapEnds ? endsAt : overlapEnds;
          await transaction
            .update(apiKeys)
            .set({ expires_at: endsAt, ...(order.overlap_s === 0 ? { revoked_at: endsAt } : {}) })
            .where(eq(apiKeys.id, order.key_id));
          await writeAudit(transaction, by, {
            action: "key.rotate",
            target: order.key_id,
            details: { new_key_id: order.new_key_id, overlap_s: order.overlap_s },
          });
        }
        return RotateKeyAnswer.parse({
          tenant_id,
          name,
          scopes,
          key_hash: old.key_hash,
          old_expires_at: endsAt!.toISOString(),
        });
      }, options),

    async list({ tenant_id, limit, cursor }) {
      const scope = ["keys", tenant_id];
      const after = cursor === undefined ? undefined : KeyId.safeParse(readCursor(cursor, scope));
      if (after?.success === false) throw invalidCursor();
      const rows = await database.read((orm) =>
        orm
          .select()
          .from(apiKeys)
          .where(
            and(
              eq(apiKeys.tenant_id, tenant_id),
              after === undefined ? undefined : gt(apiKeys.id, after.data),
            ),
          )
          .orderBy(asc(apiKeys.id))
          .limit(limit + 1),
      );
      const page = rows.slice(0, limit);
      return KeyList.parse({
        data: page.map(({ id, key_hash: _, ...row }) => ({
          ...row,
          key_id: id,
          created_at: row.created_at.toISOString(),
          expires_at: row.expires_at?.toISOString() ?? null,
          revoked_at: row.revoked_at?.toISOString() ?? null,
        })),
        next_cursor: rows.length > limit ? writeCursor(scope, page.at(-1)!.id) : null,
      });
    },
  };
}

const selectKeys = (orm: Pick<Orm, "select">) =>
  orm
    .select({
      key_id: apiKeys.id,
      key_hash: apiKeys.key_hash,
      tenant_id: apiKeys.tenant_id,
      residency: tenants.residency,
      limits: tenants.limits,
      cors_origins: tenants.cors_origins,
      retention: tenants.retention,
      scopes: apiKeys.scopes,
      expires_at: apiKeys.expires_at,
      revoked_at: apiKeys.revoked_at,
    })
    .from(apiKeys)
    .innerJoin(tenants, eq(tenants.id, apiKeys.tenant_id))
    .$dynamic();

interface KeyRow {
  key_id: string;
  key_hash: string;
  tenant_id: string;
  residency: string;
  limits: TenantLimits | null;
  cors_origins: string[];
  retention: Retention;
  scopes: string[];
  expires_at: Date | null;
  revoked_at: Date | null;
}

function toRecord({ key_hash: _, limits, cors_origins, retention, ...row }: KeyRow): KeyRecord {
  return KeyRecord.parse({
    ...row,
    ...(limits === null ? {} : { limits }),
    ...(cors_origins.length === 0 ? {} : { cors_origins }),
    ...keepsResults(retention),
    expires_at: row.expires_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
  });
}

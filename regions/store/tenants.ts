import { and, asc, eq, inArray, sql } from "./drizzle.ts";
import type { z } from "zod";
import {
  IssuerRecord,
  Tenant,
  type ChangeTenantOrder,
  type CreateTenant,
  type LookupIssuer,
} from "../../shared/contracts/internal-api.ts";
import { keepsResults, TenantSettings } from "../../shared/contracts/tenant-settings.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { writeAudit, type Actor } from "./audit-log.ts";
import type { Database, Orm } from "./database.ts";
import type { ReplayOptions } from "./replay.ts";
import { jwtIssuers, tenants } from "./schema.ts";

export interface Tenants {
  /**
   * Creates a tenant; repeating it changes nothing and answers the one that is there.
   * @throws ApiError dependency_unavailable
   */
  create(
    tenant: z.output<typeof CreateTenant>,
    by: Actor,
    options?: ReplayOptions,
  ): Promise<Tenant>;
  find(id: string): Promise<Tenant | undefined>;
  /** @throws ApiError not_found | dependency_unavailable */
  settings(id: string): Promise<TenantSettings>;
  /**
   * Sets what is given; the rest stays.
   * @throws ApiError not_found | invalid_request (an issuer and audience that are another tenant's) | dependency_unavailable
   */
  change(order: ChangeTenantOrder, by: Actor, options?: ReplayOptions): Promise<TenantSettings>;
  /** Who issues tokens with this `iss` and one of these `aud`, if any tenant takes them. @throws ApiError dependency_unavailable */
  findIssuer(token: z.infer<typeof LookupIssuer>): Promise<IssuerRecord | null>;
  /** Whether any tenant's pages come from there. @throws ApiError dependency_unavailable */
  isKnownOrigin(origin: string): Promise<boolean>;
}

export function createTenants(database: Database): Tenants {
  async function readSettings(
    orm: Pick<Orm, "select">,
    id: string,
  ): Promise<TenantSettings | undefined> {
    const [row] = await orm.select().from(tenants).where(eq(tenants.id, id));
    if (!row) return undefined;
    const issuers = await orm
      .select()
      .from(jwtIssuers)
      .where(eq(jwtIssuers.tenant_id, id))
      .orderBy(asc(jwtIssuers.issuer), asc(jwtIssuers.audience));
    return TenantSettings.parse({
      ...toTenant(row),
      limits: row.limits,
      cors_origins: row.cors_origins,
      retention: row.retention,
      jwt_issuers: issuers.map(({ tenant_id: _, ...issuer }) => issuer),
    });
  }

  return {
    create: ({ id, name, residency }, by, options) =>
      database.controlWrite(async (transaction) => {
        const made = await transaction
          .insert(tenants)
          .values({ id, name, residency })
          .onConflictDoNothing()
          .returning();
        if (made[0]) {
          await writeAudit(transaction, by, {
            action: "tenant.create",
            target: id,
            details: { residency },
          });
          return toTenant(made[0]);
        }
        const [there] = await transaction.select().from(tenants).where(eq(tenants.id, id));
        return toTenant(there!);
      }, options),

    async find(id) {
      const [row] = await database.read((orm) =>
        orm.select().from(tenants).where(eq(tenants.id, id)),
      );
      return row && toTenant(row);
    },

    async settings(id) {
      const settings = await database.read((orm) => readSettings(orm, id));
      if (!settings) throw new ApiError("not_found", `There is no tenant ${id}.`);
      return settings;
    },

    change: ({ id, limits, cors_origins, jwt_issuers, retention }, by, options) =>
      database.controlWrite(async (transaction) => {
        const [there] = await transaction
          .select({ id: tenants.id })
          .from(tenants)
          .where(eq(tenants.id, id))
          .for("update");
        if (!there) throw new ApiError("not_found", `There is no tenant ${id}.`);
        const columns = {
          ...(limits === undefined ? {} : { limits }),
          ...(cors_origins === undefined ? {} : { cors_origins }),
          ...(retention === undefined ? {} : { retention }),
        };
        if (Object.keys(columns).length > 0) {
          await transaction.update(tenants).set(columns).where(eq(tenants.id, id));
        }
        if (jwt_issuers !== undefined) {
          await transaction.delete(jwtIssuers).where(eq(jwtIssuers.tenant_id, id));
          if (jwt_issuers.length > 0) {
            const made = await transaction
              .insert(jwtIssuers)
              .values(jwt_issuers.map((issuer) => ({ ...issuer, tenant_id: id })))
              .onConflictDoNothing()
              .returning({ issuer: jwtIssuers.issuer });
            if (made.length < jwt_issuers.length) {
              throw new ApiError("invalid_request", "Some fields are not valid.", {
                errors: [
                  {
                    path: "jwt_issuers",
                    message: "has an issuer and audience twice, or those of another tenant",
                  },
                ],
              });
            }
          }
        }
        await writeAudit(transaction, by, {
          action: "tenant.change",
          target: id,
          details: { limits, cors_origins, jwt_issuers, retention },
        });
        return (await readSettings(transaction, id))!;
      }, options),

    async findIssuer({ issuer, audiences }) {
      const [row] = await database.read((orm) =>
        orm
          .select({
            issuer: jwtIssuers.issuer,
            audience: jwtIssuers.audience,
            jwks_uri: jwtIssuers.jwks_uri,
            algorithms: jwtIssuers.algorithms,
            scopes: jwtIssuers.scopes,
            tenant_id: tenants.id,
            residency: tenants.residency,
            limits: tenants.limits,
            cors_origins: tenants.cors_origins,
            retention: tenants.retention,
          })
          .from(jwtIssuers)
          .innerJoin(tenants, eq(tenants.id, jwtIssuers.tenant_id))
          .where(and(eq(jwtIssuers.issuer, issuer), inArray(jwtIssuers.audience, audiences)))
          // A token for two tenants at once speaks for the same one every time.
          .orderBy(asc(jwtIssuers.audience))
          .limit(1),
      );
      if (!row) return null;
      const { limits, cors_origins, retention, ...found } = row;
      return IssuerRecord.parse({
        ...found,
        ...(limits === null ? {} : { limits }),
        ...(cors_origins.length === 0 ? {} : { cors_origins }),
        ...keepsResults(retention),
      });
    },

    async isKnownOrigin(origin) {
      const rows = await database.read((orm) =>
        orm
          .select({ id: tenants.id })
          .from(tenants)
          .where(sql`${tenants.cors_origins} @> array[${origin}]::text[]`)
          .limit(1),
      );
      return rows.length > 0;
    },
  };
}

function toTenant({ id, name, residency, created_at }: typeof tenants.$inferSelect): Tenant {
  return Tenant.parse({ id, name, residency, created_at: created_at.toISOString() });
}

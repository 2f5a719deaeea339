import { eq } from "./drizzle.ts";
import type { z } from "zod";
import { Tenant, type CreateTenant } from "../../shared/contracts/internal-api.ts";
import { writeAudit, type Actor } from "./audit-log.ts";
import type { Database } from "./database.ts";
import type { ReplayOptions } from "./replay.ts";
import { tenants } from "./schema.ts";

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
}

export function createTenants(database: Database): Tenants {
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
  };
}

function toTenant(row: typeof tenants.$inferSelect): Tenant {
  return Tenant.parse({ ...row, created_at: row.created_at.toISOString() });
}

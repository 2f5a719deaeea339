import type { Scope } from "../../shared/contracts/api-key.ts";
import type { ApiKeys } from "./api-keys.ts";
import type { Tenants } from "./tenants.ts";

/** A tenant and its keys' hashes, as the environment gives them. */
export interface BootstrapTenant {
  tenant: Parameters<Tenants["create"]>[0];
  keys: { key_id: string; key_hash: string; name: string; scopes: Scope[] }[];
}

/** Makes sure of the first tenants and keys; what is there already stays, and gains the scopes that it lacks. */
export async function bootstrapTenants(
  wanted: readonly BootstrapTenant[],
  { tenants, apiKeys }: { tenants: Tenants; apiKeys: ApiKeys },
  signal?: AbortSignal,
): Promise<void> {
  const by = { actor: "keeper:bootstrap" };
  const options = signal ? { signal } : {};
  for (const { tenant, keys } of wanted) {
    await tenants.create(tenant, by, options);
    for (const key of keys) {
      const stored = { ...key, tenant_id: tenant.id, expires_at: null };
      const { key_id, scopes } = await apiKeys.store(stored, by, options);
      // A newer version may want more of the first keys than the one that made them.
      if (!key.scopes.every((scope) => scopes.includes(scope))) {
        await apiKeys.grant(key_id, key.scopes, by, options);
      }
    }
  }
}

import { Hono, type Context } from "hono";
import {
  CreateTenant,
  LookupKey,
  LookupKeyAnswer,
  RevokeKey,
  RevokeKeyAnswer,
  StoreKey,
  Tenant,
} from "../../shared/contracts/internal-api.ts";
import { KeyRecord } from "../../shared/contracts/api-key.ts";
import type { ApiKeys } from "../store/api-keys.ts";
import type { Tenants } from "../store/tenants.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";

export interface AdminRoutesParts {
  apiKeys: ApiKeys;
  tenants: Pick<Tenants, "create">;
}

const by = (c: Context<ApiEnv>) => ({ actor: "edge", requestId: c.var.requestId });
const call = (c: Context<ApiEnv>) => ({ signal: c.req.raw.signal });

/** `/internal/keys` and `/internal/admin`. Who may do this was decided at the edge, which signed the request. */
export function createAdminRoutes({ apiKeys, tenants }: AdminRoutesParts): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .post("/internal/keys/lookup", async (c) => {
      const key = await apiKeys.lookup(parseBody(c, LookupKey).key_hash);
      return c.json(LookupKeyAnswer.parse({ key }));
    })
    .post("/internal/admin/tenants", async (c) => {
      const tenant = await tenants.create(parseBody(c, CreateTenant), by(c), call(c));
      return c.json(Tenant.parse(tenant));
    })
    .post("/internal/admin/keys", async (c) => {
      const key = await apiKeys.store(parseBody(c, StoreKey), by(c), call(c));
      return c.json(KeyRecord.parse(key));
    })
    .post("/internal/admin/keys/revoke", async (c) => {
      const revoked = await apiKeys.revoke(parseBody(c, RevokeKey).key_id, by(c), call(c));
      return c.json(RevokeKeyAnswer.parse(revoked));
    });
}

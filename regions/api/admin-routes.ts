import { Hono, type Context } from "hono";
import {
  ChangeTenantOrder,
  CreateTenant,
  KeyList,
  ListKeys,
  LookupIssuer,
  LookupIssuerAnswer,
  LookupKey,
  LookupKeyAnswer,
  LookupOrigin,
  LookupOriginAnswer,
  ReadTenant,
  RevokeKey,
  RevokeKeyAnswer,
  RotateKey,
  RotateKeyAnswer,
  StoreKey,
  Tenant,
} from "../../shared/contracts/internal-api.ts";
import { KeyRecord } from "../../shared/contracts/api-key.ts";
import { TenantSettings } from "../../shared/contracts/tenant-settings.ts";
import type { ApiKeys } from "../store/api-keys.ts";
import type { Tenants } from "../store/tenants.ts";
import { actorOf } from "./actor-of.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";

export interface AdminRoutesParts {
  apiKeys: ApiKeys;
  tenants: Pick<Tenants, "create" | "settings" | "change" | "findIssuer" | "isKnownOrigin">;
}

const call = (c: Context<ApiEnv>) => ({ signal: c.req.raw.signal });

/** `/internal/admin`, and what the edge looks up to know its callers. Who may do this was decided at the edge, which signed the request. */
export function createAdminRoutes({ apiKeys, tenants }: AdminRoutesParts): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .post("/internal/keys/lookup", async (c) => {
      const key = await apiKeys.lookup(parseBody(c, LookupKey).key_hash);
      return c.json(LookupKeyAnswer.parse({ key }));
    })
    .post("/internal/issuers/lookup", async (c) => {
      const issuer = await tenants.findIssuer(parseBody(c, LookupIssuer));
      return c.json(LookupIssuerAnswer.parse({ issuer }));
    })
    .post("/internal/origins/lookup", async (c) => {
      const known = await tenants.isKnownOrigin(parseBody(c, LookupOrigin).origin);
      return c.json(LookupOriginAnswer.parse({ known }));
    })
    .post("/internal/admin/tenants/read", async (c) => {
      const settings = await tenants.settings(parseBody(c, ReadTenant).id);
      return c.json(TenantSettings.parse(settings));
    })
    .post("/internal/admin/tenants/change", async (c) => {
      const order = parseBody(c, ChangeTenantOrder);
      return c.json(TenantSettings.parse(await tenants.change(order, actorOf(c), call(c))));
    })
    .post("/internal/admin/keys/list", async (c) =>
      c.json(KeyList.parse(await apiKeys.list(parseBody(c, ListKeys)))),
    )
    .post("/internal/admin/keys/rotate", async (c) => {
      const rotated = await apiKeys.rotate(parseBody(c, RotateKey), actorOf(c), call(c));
      return c.json(RotateKeyAnswer.parse(rotated));
    })
    .post("/internal/admin/tenants", async (c) => {
      const tenant = await tenants.create(parseBody(c, CreateTenant), actorOf(c), call(c));
      return c.json(Tenant.parse(tenant));
    })
    .post("/internal/admin/keys", async (c) => {
      const key = await apiKeys.store(parseBody(c, StoreKey), actorOf(c), call(c));
      return c.json(KeyRecord.parse(key));
    })
    .post("/internal/admin/keys/revoke", async (c) => {
      const revoked = await apiKeys.revoke(parseBody(c, RevokeKey).key_id, actorOf(c), call(c));
      return c.json(RevokeKeyAnswer.parse(revoked));
    });
}

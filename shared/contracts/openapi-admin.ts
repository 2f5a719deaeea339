import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { CreatedKey, CreateKey, RevokedKey, RotatedKey, RotateKeyRequest } from "./api.ts";
import { KeyId, TenantId } from "./ids.ts";
import { CreateTenant, KeyList, Tenant } from "./internal-api.ts";
import { BODY_ERRORS, call, headers, idempotent, json, KEY_ERRORS } from "./openapi-call.ts";
import { ChangeTenant, TenantSettings } from "./tenant-settings.ts";
import { PrimaryStatus, PromoteRegion } from "./primary.ts";

/** Query of `GET /v1/admin/keys`. */
export const ListKeysQuery = z.object({
  tenant_id: TenantId,
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .meta({ description: "`next_cursor` of the page before" }),
});

const tenant = z.object({ id: TenantId });
const key = z.object({ key_id: KeyId });

/** The calls that set up tenants and keys; a part of the API's description. */
export const adminPaths: ZodOpenApiPathsObject = {
  "/v1/admin/tenants": {
    post: call(
      {
        operationId: "createTenant",
        summary: "Create a tenant",
        tags: ["Admin"],
        description:
          "The same tenant again changes nothing; another one under an id that is taken is `tenant_exists`.",
        requestParams: { header: headers(idempotent) },
        requestBody: { required: true, content: json(CreateTenant) },
      },
      [{ status: 201, description: "The tenant", content: json(Tenant) }],
      [...KEY_ERRORS, ...BODY_ERRORS, "tenant_exists"],
    ),
  },
  "/v1/admin/tenants/{id}": {
    get: call(
      {
        operationId: "getTenant",
        summary: "Get a tenant with its limits, origins and issuers",
        tags: ["Admin"],
        requestParams: { path: tenant, header: headers() },
      },
      [{ status: 200, description: "The tenant", content: json(TenantSettings) }],
      [...KEY_ERRORS, "not_found"],
    ),
    patch: call(
      {
        operationId: "changeTenant",
        summary: "Set a tenant's limits, origins and issuers of tokens",
        tags: ["Admin"],
        description:
          "What is left out stays; it holds everywhere within a minute. `limits: null` stands for the deployment's. Pages of `cors_origins` may read the tenant's answers. Tokens (JWT) of `jwt_issuers` are taken in place of keys: signed by a key of `jwks_uri`, with `iss`, `aud`, `sub`, `exp` within a day, and a claim `scope`. Residency cannot be changed: it says where data already lies.",
        requestParams: { path: tenant, header: headers() },
        requestBody: { required: true, content: json(ChangeTenant) },
      },
      [{ status: 200, description: "The tenant as it is now", content: json(TenantSettings) }],
      [
        ...KEY_ERRORS,
        ...BODY_ERRORS.filter((code) => !/idempotency|in_progress/.test(code)),
        "not_found",
      ],
    ),
  },
  "/v1/admin/keys": {
    get: call(
      {
        operationId: "listKeys",
        summary: "List a tenant's keys",
        tags: ["Admin"],
        description: "Without the keys themselves: nobody has them but who got them.",
        requestParams: { query: ListKeysQuery, header: headers() },
      },
      [{ status: 200, description: "One page", content: json(KeyList) }],
      [...KEY_ERRORS, "invalid_request"],
    ),
    post: call(
      {
        operationId: "createKey",
        summary: "Create an API key",
        tags: ["Admin"],
        description: "The key is in this answer and nowhere else: only its hash is kept.",
        requestParams: { header: headers(idempotent) },
        requestBody: { required: true, content: json(CreateKey) },
      },
      [{ status: 201, description: "The key, once", content: json(CreatedKey) }],
      [...KEY_ERRORS, ...BODY_ERRORS, "not_found"],
    ),
  },
  "/v1/admin/keys/{key_id}": {
    delete: call(
      {
        operationId: "revokeKey",
        summary: "Revoke an API key, everywhere within 10 seconds",
        tags: ["Admin"],
        requestParams: { path: key, header: headers() },
      },
      [{ status: 200, description: "It is revoked", content: json(RevokedKey) }],
      [...KEY_ERRORS, "not_found"],
    ),
  },
  "/v1/admin/keys/{key_id}/rotate": {
    post: call(
      {
        operationId: "rotateKey",
        summary: "Put another key in place of one",
        tags: ["Admin"],
        description:
          "The new key has the tenant, name and scopes of the old one, which holds for `overlap_s` more seconds (and up to a minute beyond, where it is cached); with 0 it is revoked, everywhere within 10 seconds.",
        requestParams: { path: key, header: headers(idempotent) },
        requestBody: { required: false, content: json(RotateKeyRequest) },
      },
      [{ status: 201, description: "The new key, once", content: json(RotatedKey) }],
      [...KEY_ERRORS, ...BODY_ERRORS, "not_found"],
    ),
  },
  "/v1/admin/primary": {
    get: call(
      {
        operationId: "getPrimary",
        summary: "Which region has the database's primary, and which others could take over",
        tags: ["Admin"],
        requestParams: { header: headers() },
      },
      [{ status: 200, description: "The lease and the reports", content: json(PrimaryStatus) }],
      KEY_ERRORS,
    ),
    post: call(
      {
        operationId: "promoteRegion",
        summary: "Promote a region's database to the primary",
        tags: ["Admin"],
        description:
          "The primary stops once the region has all of its log, and the region takes over. With the primary lost, its lease is waited out first. Refused while anything could be lost by it: then nothing changes, and `cannot_take_over` says why.",
        requestParams: { header: headers() },
        requestBody: { required: true, content: json(PromoteRegion) },
      },
      [{ status: 202, description: "It was asked for", content: json(PrimaryStatus) }],
      [
        ...KEY_ERRORS,
        ...BODY_ERRORS.filter((code) => !/idempotency|in_progress/.test(code)),
        "not_found",
      ],
    ),
  },
};

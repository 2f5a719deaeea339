import { z } from "zod";
import {
  CreateKey,
  RotateKeyRequest,
  type CreatedKey,
  type RotatedKey,
} from "../../shared/contracts/api.ts";
import { hashApiKey, mintApiKey } from "../../shared/contracts/api-key.ts";
import { KeyId, systemIdSource, TenantId } from "../../shared/contracts/ids.ts";
import {
  CreateTenant,
  KeyList,
  RevokeKeyAnswer,
  RotateKeyAnswer,
  Tenant,
} from "../../shared/contracts/internal-api.ts";
import { ListKeysQuery } from "../../shared/contracts/openapi-admin.ts";
import { ChangeTenant, TenantSettings } from "../../shared/contracts/tenant-settings.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { toHex } from "../../shared/signing/bytes.ts";
import { parseJson, readJsonText, readOptionalJsonText } from "../admit/read-body.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import { tryRegions } from "../forward/try-regions.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** Control writes go to the primary, and wait there until a replica has them. */
const ADMIN_TIMEOUT_MS = 10_000;
const KEY_ENVIRONMENTS = { production: "live", development: "dev", test: "test" } as const;

const mintKeyId = () => `key_${toHex(systemIdSource.randomBytes(10))}`;

/** The calls below `/v1/admin`. Any region takes them to the primary. */
export function adminCalls({ config, router, callRegion, once, keys, revocations }: EdgeServices) {
  async function createTenant(c: EdgeContext): Promise<Response> {
    const body = await readJsonText(c.req.raw);
    const wanted = parseRequest(CreateTenant, parseJson(body));
    return once(c, { body, mintId: () => wanted.id }, async () => {
      const tenant = await tryRegions(callRegion, router.nearest(c.req.raw), {
        method: "POST",
        target: "/internal/admin/tenants",
        body: wanted,
        answer: Tenant,
        timeoutMs: ADMIN_TIMEOUT_MS,
        trace: traceOf(c),
      });
      // What is there stays as it is. The same as was asked for may be what an attempt before this one made.
      const errors = (["name", "residency"] as const)
        .filter((field) => tenant[field] !== wanted[field])
        .map((path) => ({ path, message: `is ${tenant[path]}, and stays so` }));
      if (errors.length > 0) throw new ApiError("tenant_exists", undefined, { errors });
      return json(tenant, 201);
    });
  }

  /** Mints the key here: regions store its hash, and only this answer ever shows it. */
  async function createKey(c: EdgeContext): Promise<Response> {
    const body = await readJsonText(c.req.raw);
    const wanted = parseRequest(CreateKey, parseJson(body));
    return once(c, { body, mintId: mintKeyId, secret: true }, async () => {
      // Never the id of a claim that is resumed: its first key may be stored, and cannot be shown again.
      const keyId = mintKeyId();
      const key = mintApiKey(KEY_ENVIRONMENTS[config.environment], systemIdSource.randomBytes(32));
      await tryRegions(callRegion, router.nearest(c.req.raw), {
        method: "POST",
        target: "/internal/admin/keys",
        body: { ...wanted, key_id: keyId, key_hash: await hashApiKey(key) },
        answer: z.unknown(),
        timeoutMs: ADMIN_TIMEOUT_MS,
        trace: traceOf(c),
      });
      const created: CreatedKeyAnswer = { key_id: keyId, key, ...wanted };
      return json(created, 201);
    });
  }

  /** A control call to whichever region answers. */
  function control<T extends z.ZodType>(c: EdgeContext, target: string, body: unknown, answer: T) {
    return tryRegions(callRegion, router.nearest(c.req.raw), {
      method: "POST",
      target: `/internal/admin/${target}`,
      body,
      answer,
      timeoutMs: ADMIN_TIMEOUT_MS,
      trace: traceOf(c),
    });
  }

  function tenantOf(c: EdgeContext): TenantId {
    const id = TenantId.safeParse(c.req.param("id"));
    if (!id.success) throw new ApiError("not_found", "There is no such tenant.");
    return id.data;
  }

  async function getTenant(c: EdgeContext): Promise<Response> {
    return json(await control(c, "tenants/read", { id: tenantOf(c) }, TenantSettings));
  }

  /** Cached records of the tenant's keys hold what was before for a minute at most. */
  async function changeTenant(c: EdgeContext): Promise<Response> {
    const id = tenantOf(c);
    const wanted = parseRequest(ChangeTenant, parseJson(await readJsonText(c.req.raw)));
    const insecure = (wanted.jwt_issuers ?? []).findIndex(
      ({ jwks_uri }) =>
        new URL(jwks_uri).protocol !== "https:" && config.environment === "production",
    );
    if (insecure >= 0) {
      throw new ApiError("invalid_request", "Some fields are not valid.", {
        errors: [{ path: `jwt_issuers.${insecure}.jwks_uri`, message: "must be https" }],
      });
    }
    return json(await control(c, "tenants/change", { ...wanted, id }, TenantSettings));
  }

  async function listKeys(c: EdgeContext): Promise<Response> {
    const query = parseRequest(ListKeysQuery, c.req.query());
    return json(await control(c, "keys/list", query, KeyList));
  }

  /** Another key of the same tenant and scopes; the old one holds for the overlap, or not at all. */
  async function rotateKey(c: EdgeContext): Promise<Response> {
    const old = KeyId.safeParse(c.req.param("key_id"));
    if (!old.success) throw new ApiError("not_found", "There is no such key.");
    const body = await readOptionalJsonText(c.req.raw);
    const { overlap_s } = parseRequest(RotateKeyRequest, parseJson(body));
    return once(c, { body, mintId: mintKeyId, secret: true }, async () => {
      const keyId = mintKeyId();
      const key = mintApiKey(KEY_ENVIRONMENTS[config.environment], systemIdSource.randomBytes(32));
      const order = {
        key_id: old.data,
        new_key_id: keyId,
        new_key_hash: await hashApiKey(key),
        overlap_s,
      };
      const rotated = await control(c, "keys/rotate", order, RotateKeyAnswer);
      if (overlap_s === 0) await revocations.revoke(old.data);
      await keys.forget(rotated.key_hash);
      const { tenant_id, name, scopes, old_expires_at } = rotated;
      const answer: z.infer<typeof RotatedKey> = {
        key_id: keyId,
        key,
        tenant_id,
        name,
        scopes,
        replaces: old.data,
        old_expires_at,
      };
      return json(answer, 201);
    });
  }

  async function revokeKey(c: EdgeContext): Promise<Response> {
    const id = KeyId.safeParse(c.req.param("key_id"));
    if (!id.success) throw new ApiError("not_found", "There is no such key.");
    const revoked = await tryRegions(callRegion, router.nearest(c.req.raw), {
      method: "POST",
      target: "/internal/admin/keys/revoke",
      body: { key_id: id.data },
      answer: RevokeKeyAnswer,
      timeoutMs: ADMIN_TIMEOUT_MS,
      trace: traceOf(c),
    });
    // The list first: it alone reaches the isolates that would still find the record in a cache.
    await revocations.revoke(revoked.key_id);
    await keys.forget(revoked.key_hash);
    return json({ key_id: revoked.key_id, revoked_at: revoked.revoked_at });
  }

  return { createTenant, getTenant, changeTenant, createKey, listKeys, rotateKey, revokeKey };
}

type CreatedKeyAnswer = z.infer<typeof CreatedKey>;

import { z } from "zod";
import { TenantId } from "./ids.ts";
import { Residency } from "./regions.ts";

/** What one tenant may ask of the edge. */
export const TenantLimits = z
  .strictObject({
    per_second: z
      .int()
      .min(1)
      .max(1_000_000)
      .meta({ description: "Requests at once; as many come back each second" }),
    per_minute: z
      .int()
      .min(1)
      .max(60_000_000)
      .meta({ description: "Requests in the long run; as many come back each minute" }),
    in_flight: z
      .int()
      .min(1)
      .max(100_000)
      .meta({ description: "Requests that wait for their answer at the same time" }),
  })
  .meta({ id: "TenantLimits" });
export type TenantLimits = z.infer<typeof TenantLimits>;

/** An origin as browsers send it: scheme, host and port, no path, no wildcard. */
export const Origin = z
  .string()
  .max(255)
  .refine(
    (origin) =>
      /^https?:\/\/[a-z0-9.-]+(:\d{1,5})?$/.test(origin) && URL.parse(origin)?.origin === origin,
    "must be an origin such as https://app.example.com",
  )
  .meta({ id: "Origin", example: "https://app.example.com" });

/** Signature algorithms that tokens may have: asymmetric ones alone, so that no public key can pass for a secret. */
export const TokenAlgorithm = z.enum(["RS256", "ES256", "EdDSA"]).meta({ id: "TokenAlgorithm" });

/** What tokens may be given; never `admin`, which reaches beyond the tenant that names its issuers. */
export const TokenScope = z.enum(["analyze", "speak"]).meta({ id: "TokenScope" });

/** An issuer of JWTs whose tokens, for this audience, speak for the tenant. */
export const JwtIssuer = z
  .strictObject({
    issuer: z.string().min(1).max(512).meta({ description: "`iss` of the tokens, to the letter" }),
    audience: z.string().min(1).max(255).meta({ description: "One of the tokens' `aud`" }),
    jwks_uri: z.url().max(1024).meta({ description: "Where the public keys are; https" }),
    algorithms: z.array(TokenAlgorithm).min(1).default(["RS256"]),
    scopes: z
      .array(TokenScope)
      .min(1)
      .default(["analyze", "speak"])
      .meta({ description: "A token has those of its claim `scope` that stand here" }),
  })
  .meta({ id: "JwtIssuer" });
export type JwtIssuer = z.infer<typeof JwtIssuer>;

const days = z.int().min(1).max(3_650).optional();
/** For how many days what belongs to a tenant is kept; what is left out goes by the deployment's own rules. */
export const Retention = z
  .strictObject({
    results_days: z.int().min(0).max(3_650).optional().meta({
      description:
        "Results, and what stages gave. 0: results of analyses are sent by webhook alone, and neither they nor the recording are kept; holds for jobs accepted a minute later",
    }),
    audio_days: days.meta({ description: "Recordings that are delivered" }),
    uploads_days: days.meta({ description: "Uploads as they were sent" }),
  })
  .meta({ id: "Retention" });
export type Retention = z.infer<typeof Retention>;

/** What is said of a tenant of whom no result is kept; of all others nothing. */
export const keepsResults = ({ results_days }: Retention): { keeps_results?: false } =>
  results_days === 0 ? { keeps_results: false } : {};

/** `PATCH /v1/admin/tenants/{id}`: what is left out stays. Residency stays always: it says where data already lies. */
export const ChangeTenant = z
  .strictObject({
    limits: TenantLimits.nullable()
      .optional()
      .meta({ description: "null: those of the deployment" }),
    cors_origins: z.array(Origin).max(50).optional(),
    jwt_issuers: z.array(JwtIssuer).max(10).optional(),
    retention: Retention.optional(),
  })
  .meta({ id: "ChangeTenant" });
export type ChangeTenant = z.output<typeof ChangeTenant>;

/** A tenant with what can be set of it. */
export const TenantSettings = z
  .strictObject({
    id: TenantId,
    name: z.string(),
    residency: Residency,
    created_at: z.iso.datetime(),
    limits: TenantLimits.nullable(),
    cors_origins: z.array(Origin),
    jwt_issuers: z.array(JwtIssuer),
    retention: Retention.default({}),
  })
  .meta({ id: "TenantSettings" });
export type TenantSettings = z.infer<typeof TenantSettings>;

import { z } from "zod";
import { regions, type Region } from "../shared/contracts/regions.ts";
import { TenantLimits } from "../shared/contracts/tenant-settings.ts";
import { explainIssue } from "../shared/errors/explain-request.ts";
import type { AudioUrlKeys } from "../shared/signing/audio-url.ts";
import { ReceiptKey } from "../shared/signing/receipt.ts";

/** What wrangler.toml and the deployment's secrets bind to the Worker. */
export interface EdgeBindings {
  KEYS: KVNamespace;
  LEDGER: DurableObjectNamespace;
  IDEMPOTENCY: DurableObjectNamespace;
  REVOCATIONS: DurableObjectNamespace;
  REGION_PROBES: DurableObjectNamespace;
  OPEN_SHARDS: DurableObjectNamespace;
  TENANT_LIMITS: DurableObjectNamespace;
  DELETIONS: DurableObjectNamespace;
  PRIMARY_LEASE: DurableObjectNamespace;
  ENVIRONMENT?: string;
  /** JSON: `{region: [secret, …]}`; the first signs, all verify. */
  LINK_SECRETS?: string;
  /** JSON: `{current, secrets: {kid: secret}}`. */
  AUDIO_URL_KEYS?: string;
  /** JSON: `{region: RegionEndpoint}`. */
  REGION_ENDPOINTS?: string;
  PUBLIC_URL?: string;
  /** JSON: Ed25519 key pairs as JWKs with `kid`, which receipts are signed with; the first signs, all are published. */
  RECEIPT_KEYS?: string;
  /** `automatic`: a Postgres primary that is lost is replaced by a replica without being asked; else an operator promotes. */
  PRIMARY_TAKEOVER?: string;
  /** JSON: TenantLimits of tenants that have none of their own. */
  DEFAULT_LIMITS?: string;
  /** How long the edge's cache keeps audio of tenants that are bound to no place: 1 to 30. */
  AUDIO_CACHE_DAYS?: string;
}

/** Where a region is reached; `public_objects` is the same object store as clients see it. */
const RegionEndpoint = z.strictObject({
  api: z.url(),
  objects: z.url(),
  public_objects: z.url(),
  bucket: z.string().min(3),
  aws_region: z.string(),
  access_key_id: z.string().min(1),
  secret_access_key: z.string().min(1),
});
export type RegionEndpoint = z.infer<typeof RegionEndpoint>;

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: "custom", message: "is not JSON" });
    return z.NEVER;
  }
});
const secret = z.string().min(32);

const EdgeEnvironment = z.object({
  ENVIRONMENT: z.enum(["production", "development", "test"]).default("production"),
  LINK_SECRETS: json.pipe(z.record(z.string(), z.array(secret).min(1))),
  AUDIO_URL_KEYS: json.pipe(
    z
      .strictObject({ current: z.string(), secrets: z.record(z.string(), secret) })
      .refine((keys) => Object.hasOwn(keys.secrets, keys.current), "`current` names no secret"),
  ),
  REGION_ENDPOINTS: json.pipe(z.record(z.string(), RegionEndpoint)),
  PUBLIC_URL: z.url().optional(),
  RECEIPT_KEYS: json.pipe(z.array(ReceiptKey)).default([]),
  PRIMARY_TAKEOVER: z.enum(["automatic", "manual"]).default("manual"),
  DEFAULT_LIMITS: json
    .pipe(TenantLimits)
    .default({ per_second: 100, per_minute: 3_000, in_flight: 200 }),
  AUDIO_CACHE_DAYS: z.coerce.number().int().min(1).max(30).default(7),
});

export interface EdgeConfig {
  environment: "production" | "development" | "test";
  /** The regions of regions.json that this deployment has an endpoint and a secret for. */
  regions: readonly Region[];
  linkSecrets: Record<string, string[]>;
  audioUrlKeys: AudioUrlKeys;
  endpoints: Record<string, RegionEndpoint>;
  publicUrl: string | undefined;
  receiptKeys: readonly ReceiptKey[];
  automaticTakeover: boolean;
  defaultLimits: TenantLimits;
  audioCacheDays: number;
}

/**
 * Reads the Worker's environment, once per isolate, into a checked type.
 * @throws Error that names every variable that is missing or wrong, never its value
 */
export function readEdgeConfig(bindings: EdgeBindings): EdgeConfig {
  const parsed = EdgeEnvironment.safeParse(bindings, { error: explainIssue });
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw new Error(`the edge's environment is not complete: ${faults.join("; ")}`);
  }
  const values = parsed.data;
  return {
    environment: values.ENVIRONMENT,
    regions: regions.filter(
      ({ id }) =>
        Object.hasOwn(values.REGION_ENDPOINTS, id) && Object.hasOwn(values.LINK_SECRETS, id),
    ),
    linkSecrets: values.LINK_SECRETS,
    audioUrlKeys: values.AUDIO_URL_KEYS,
    endpoints: values.REGION_ENDPOINTS,
    publicUrl: values.PUBLIC_URL?.replace(/\/+$/, ""),
    receiptKeys: values.RECEIPT_KEYS,
    automaticTakeover: values.PRIMARY_TAKEOVER === "automatic",
    defaultLimits: values.DEFAULT_LIMITS,
    audioCacheDays: values.AUDIO_CACHE_DAYS,
  };
}

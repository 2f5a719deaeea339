import { z } from "zod";
import { findRegion } from "../shared/contracts/regions.ts";
import { KeyRecord } from "../shared/contracts/api-key.ts";
import { Tenant } from "../shared/contracts/internal-api.ts";
import { Sha256Hex } from "../shared/contracts/ids.ts";
import { explainIssue } from "../shared/errors/explain-request.ts";

const port = z.coerce.number().int().min(0).max(65535);
const secrets = z
  .string()
  .transform((text) => text.split(","))
  .pipe(z.array(z.string().min(32)).min(1));
const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: "custom", message: "is not JSON" });
    return z.NEVER;
  }
});

const common = z.object({
  ANTIPHON_ENV: z.enum(["production", "development", "test"]).default("production"),
  ANTIPHON_REGION: z
    .string()
    .refine((id) => findRegion(id) !== undefined, "is not in regions.json"),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace"]).default("info"),
  /** Port of /healthz, /readyz and /metrics (the API serves them on its own port). */
  OPS_PORT: port.default(0),
  REDIS_URL: z.url(),
  S3_ENDPOINT: z.url().optional(),
  S3_BUCKET: z.string().min(3),
  S3_ACCESS_KEY_ID: z.string().optional(),
  S3_SECRET_ACCESS_KEY: z.string().optional(),
});

const database = z.object({
  /** Every host of the cluster; writers ask for the primary. `postgres://user:password@a:1,b:2/antiphon` */
  DATABASE_URL: z.string().startsWith("postgres://"),
  /** The replica (or primary) of this region, for reads. */
  DATABASE_REPLICA_URL: z.string().startsWith("postgres://"),
});

const link = z.object({
  /** Where this region reaches the edge. */
  EDGE_URL: z.url(),
  /** Secrets of the link between edge and this region, comma-separated: the first signs, all verify. */
  LINK_SECRETS: secrets,
});

const webhooks = z.object({
  /**
   * Keys that webhooks' secrets, and results that are kept nowhere else, are sealed with, base64 of 32 bytes each, comma-separated:
   * the first seals, all open.
   * The same in every region.
   */
  WEBHOOK_KEYS: z
    .string()
    .transform((text) => text.split(",").map((key) => Buffer.from(key.trim(), "base64")))
    .refine((keys) => keys.every((key) => key.length === 32), "each must be base64 of 32 bytes"),
});

const models = z.object({
  /** Where programs are, such as the engine for transcripts. */
  PATH: z.string().default("/usr/local/bin:/usr/bin:/bin"),
  /** Memory that models which are loaded may take together; the least recently used make room for others. */
  MODEL_MEMORY_MB: z.coerce.number().positive().default(4096),
  /** Threads that one call of a model may use on the CPU. */
  MODEL_THREADS: z.coerce.number().int().min(1).max(256).default(1),
  /** Where `npm run models` installs models, and a manifest of one's own, if they are not the default ones. */
  ANTIPHON_MODELS_DIR: z.string().min(1).optional(),
  ANTIPHON_MODELS_MANIFEST: z.string().min(1).optional(),
});

export const ApiConfig = common
  .extend(database.shape)
  .extend(link.shape)
  .extend(webhooks.shape)
  .extend(models.shape)
  .extend({ PORT: port });
export type ApiConfig = z.infer<typeof ApiConfig>;

export const WorkerConfig = common
  .extend(models.shape)
  .extend(webhooks.shape)
  .extend({
    WORKER_ID: z.string().regex(/^[\w.-]{1,64}$/),
    WORKER_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(2),
    /** How fast one of its runs is, next to those of the region's other workers. */
    WORKER_SPEED: z.coerce.number().positive().max(1000).default(1),
    LEASE_MS: z.coerce.number().int().min(500).max(300_000).default(10_000),
    MAX_AUDIO_S: z.coerce
      .number()
      .positive()
      .default(6 * 3600),
    /** Memory of Redis that cached outcomes of stages may take, all workers of the region together. */
    STAGE_CACHE_MB: z.coerce.number().positive().default(256),
    SCRATCH_DIR: z.string().default("/tmp"),
  });
export type WorkerConfig = z.infer<typeof WorkerConfig>;

/** A tenant and key that the keeper makes sure of at start: how the very first key comes to be. */
export const BootstrapTenants = z.array(
  z.strictObject({
    tenant: Tenant.omit({ created_at: true }),
    keys: z.array(
      KeyRecord.pick({ key_id: true, scopes: true }).extend({
        key_hash: Sha256Hex,
        name: z.string(),
      }),
    ),
  }),
);
export type BootstrapTenants = z.infer<typeof BootstrapTenants>;

export const KeeperConfig = common
  .extend(database.shape)
  .extend(link.shape)
  .extend(webhooks.shape)
  .extend({
    BOOTSTRAP_TENANTS: json.pipe(BootstrapTenants).optional(),
    /** The agent that runs this region's Postgres. Without one, nobody here stops, promotes or rebuilds it. */
    DATABASE_AGENT_URL: z.url().optional(),
    DATABASE_AGENT_TOKEN: z.string().min(32).optional(),
    /** Where clients reach the API: what URLs in webhooks begin with. */
    PUBLIC_URL: z.url().optional(),
  });
export type KeeperConfig = z.infer<typeof KeeperConfig>;

/**
 * Reads the environment once, into a checked type.
 * @throws Error that names every variable that is missing or wrong, never its value
 */
export function readConfig<T extends z.ZodType>(
  schema: T,
  environment: Record<string, string | undefined>,
): z.output<T> {
  const parsed = schema.safeParse(environment, { error: explainIssue });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new Error(`the environment is not complete:\n  ${faults.join("\n  ")}`);
}

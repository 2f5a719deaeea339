import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { regions } from "../../shared/contracts/regions.ts";

const RegionId = z.enum(regions.map(({ id }) => id) as [string, ...string[]]);
const Pool = z.strictObject({
  min: z.int().min(0).optional(),
  max: z.int().min(1).optional(),
  warm: z.int().min(0).optional(),
  on_demand_base: z.int().min(0).optional(),
});

/** A region as an operator wants it; what is left out is as terraform/stages/2-region/variables.tf says. */
export const RegionSettings = z.strictObject({
  cidr: z.cidrv4(),
  /** Host name by which the edge calls the region. */
  host: z.string().regex(/^[a-z0-9.-]+$/),
  certificate_arn: z.string().startsWith("arn:aws:acm:"),
  monthly_usd: z.number().positive(),
  hourly_usd: z.number().positive(),
  gpu: z.boolean().default(true),
  instance_types: z.array(z.string()).min(2).default(["g4dn.xlarge", "g5.xlarge", "g6.xlarge"]),
  pools: z.record(z.string(), Pool).default({ jobs: {} }),
  concurrency: z.int().min(1).default(4),
  queue: z
    .strictObject({
      engine: z.enum(["memorydb", "elasticache"]).default("memorydb"),
      node_type: z.string().default("r7g.large"),
      replicas: z.int().min(0).max(5).default(1),
    })
    .prefault({}),
  database: z
    .strictObject({
      instance_class: z.string().default("db.m7g.large"),
      storage_gb: z.int().min(20).default(100),
      multi_az: z.boolean().default(true),
      backup_days: z.int().min(7).max(35).default(14),
      local_replica: z.boolean().default(false),
    })
    .prefault({}),
  api: z
    .strictObject({ min: z.int().min(1).default(2), max: z.int().min(1).default(10) })
    .prefault({}),
  nat_per_zone: z.boolean().default(true),
  upload_origins: z.array(z.string()).default([]),
  retention_days: z.int().min(1).nullable().default(null),
});
export type RegionSettings = z.infer<typeof RegionSettings>;

/** deployment.json */
export const Settings = z.strictObject({
  account_id: z.string().regex(/^\d{12}$/, "has twelve digits"),
  primary: RegionId,
  edge_url: z.url({ protocol: /^https$/ }),
  /** Addresses that Cloudflare calls from: https://www.cloudflare.com/ips-v4 */
  edge_cidrs: z.array(z.cidrv4()).min(1),
  emails: z.array(z.email()).min(1),
  /** Tag of the images. */
  version: z
    .string()
    .regex(/^[\w.-]+$/)
    .refine((tag) => tag !== "latest", "moves"),
  monthly_usd: z.number().positive(),
  regions: z.partialRecord(RegionId, RegionSettings),
});
export type Settings = z.infer<typeof Settings>;

/** secrets.json, which only its owner may read; it never gets into a state or a plan. */
export const Secrets = z.strictObject({
  database_password: z.string().regex(/^[A-Za-z0-9]{24,128}$/),
  queue_passwords: z.partialRecord(RegionId, z.string().regex(/^[A-Za-z0-9]{32,128}$/)),
  link_secrets: z.partialRecord(RegionId, z.array(z.string().min(32)).min(1)),
  webhook_keys: z.array(z.string().regex(/^[A-Za-z0-9+/]{43}=$/)).min(1),
  audio_url_keys: z.strictObject({
    current: z.string(),
    secrets: z.record(z.string(), z.string().min(32)),
  }),
  bootstrap_tenants: z.array(z.unknown()),
  /** Raised whenever one of these is changed. */
  version: z.int().min(1),
});
export type Secrets = z.infer<typeof Secrets>;

/** What a region's apply printed as `facts`. */
export const Facts = z.object({
  region: RegionId,
  primary: z.boolean(),
  vpc_id: z.string(),
  cidr: z.string(),
  peering_ids: z.record(z.string(), z.string()),
  database_arn: z.string(),
  database_host: z.string(),
  bucket: z.string(),
  balancer_host: z.string(),
});
export type Facts = z.infer<typeof Facts>;

export interface Deployment {
  settings: Settings | undefined;
  secrets: Secrets | undefined;
  /** By region id; of regions that were applied. */
  facts: Record<string, Facts>;
  /** What is missing or wrong, each with where. */
  missing: string[];
}

/** Reads a deployment's folder. Never throws for what is in it: it tells. */
export async function readDeployment(folder: string): Promise<Deployment> {
  const missing: string[] = [];
  async function read<T extends z.ZodType>(name: string, schema: T, how: string) {
    const path = join(folder, name);
    if (!existsSync(path)) {
      missing.push(`${path}: ${how}`);
      return undefined;
    }
    let json: unknown;
    try {
      json = JSON.parse(await readFile(path, "utf8"));
    } catch {
      missing.push(`${path} is not JSON`);
      return undefined;
    }
    const parsed = schema.safeParse(json);
    for (const issue of parsed.error?.issues ?? []) {
      missing.push(`${path}: ${issue.path.join(".")}: ${issue.message}`);
    }
    return parsed.data;
  }
  const settings = await read(
    "deployment.json",
    Settings,
    "copy it from deploy/examples, and fill it in",
  );
  const secrets = await read("secrets.json", Secrets, "make it with `npm run deploy -- secrets`");
  const facts: Record<string, Facts> = {};
  const factsFolder = join(folder, "facts");
  const names = existsSync(factsFolder) ? await readdir(factsFolder) : [];
  for (const name of names.filter((file) => file.endsWith(".json"))) {
    const fact = await read(join("facts", name), Facts, "");
    if (fact) facts[fact.region] = fact;
  }
  return { settings, secrets, facts, missing };
}

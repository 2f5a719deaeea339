import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { hashApiKey, mintApiKey, type Scope } from "../../shared/contracts/api-key.ts";
import { makeReceiptKey, ReceiptKey } from "../../shared/signing/receipt.ts";
import type { BootstrapTenants } from "../../regions/config.ts";

const RegionSecrets = z.object({
  redis: z.string(),
  link: z.string(),
  objects: z.object({ accessKeyId: z.string(), secretAccessKey: z.string() }),
});
export type RegionSecrets = z.infer<typeof RegionSecrets>;

/** What a planet must keep from one run to the next, beside the data of its servers. Holds every secret it has. */
export const PlanetState = z.object({
  version: z.literal(1),
  ports: z.record(z.string(), z.number().int()),
  controlToken: z.string(),
  postgres: z.object({ superuser: z.string(), services: z.string(), replicator: z.string() }),
  audioUrlKey: z.string(),
  /** Signs receipts of deletions; a planet of before them gets one when it starts. */
  receiptKey: ReceiptKey.optional(),
  /** Seals webhooks' secrets in the database; a planet of before webhooks has none yet. */
  webhookKey: z.string().default(() => randomBytes(32).toString("base64")),
  apiKeys: z.object({ demo: z.string(), operator: z.string() }),
  regions: z.record(z.string(), RegionSecrets),
  /** The region whose Postgres was promoted last. */
  primary: z.string().optional(),
});
export type PlanetState = z.infer<typeof PlanetState>;

const secret = () => randomBytes(32).toString("base64url");

function freshRegion(): RegionSecrets {
  const accessKeyId = `ANTI${randomBytes(8).toString("hex").toUpperCase()}`;
  return { redis: secret(), link: secret(), objects: { accessKeyId, secretAccessKey: secret() } };
}

export const stateFileOf = (stateDir: string) => join(stateDir, "planet.json");

/**
 * The state kept in a folder, with secrets for regions that are new; made where there is none.
 * @throws when the file is there but cannot be understood: making new secrets would lock everybody out of the data
 */
export async function loadState(
  stateDir: string,
  regionIds: readonly string[],
): Promise<PlanetState> {
  const known = await readState(stateDir);
  const state: PlanetState = known ?? {
    version: 1,
    ports: {},
    controlToken: secret(),
    postgres: { superuser: secret(), services: secret(), replicator: secret() },
    audioUrlKey: secret(),
    webhookKey: randomBytes(32).toString("base64"),
    apiKeys: {
      demo: mintApiKey("dev", randomBytes(32)),
      operator: mintApiKey("dev", randomBytes(32)),
    },
    regions: {},
  };
  state.receiptKey ??= await makeReceiptKey("r1");
  for (const id of regionIds) state.regions[id] ??= freshRegion();
  await saveState(stateDir, state);
  return state;
}

/** The state kept in a folder, or undefined when none was ever made there. */
export async function readState(stateDir: string): Promise<PlanetState | undefined> {
  const file = stateFileOf(stateDir);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return PlanetState.parse(JSON.parse(text));
  } catch {
    throw new Error(
      `${file} is damaged. To begin anew without its data, remove the folder ${stateDir}`,
    );
  }
}

export async function saveState(stateDir: string, state: PlanetState): Promise<void> {
  await writePrivately(stateFileOf(stateDir), state);
}

/** Writes JSON that only this account may read, whole or not at all. */
export async function writePrivately(file: string, value: unknown): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const fresh = `${file}.${randomUUID()}`;
  await writeFile(fresh, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600, flag: "wx" });
  await rename(fresh, file);
}

/** The first tenants, as the keeper of the primary's region is told of them: hashes, never keys. */
export async function firstTenants({ apiKeys }: PlanetState): Promise<BootstrapTenants> {
  const tenant = async (name: string, key: string, scopes: Scope[]) => ({
    tenant: { id: `ten_${name}`, name: `Planet: ${name}`, residency: "global" as const },
    keys: [{ key_id: `key_${name}`, key_hash: await hashApiKey(key), name, scopes }],
  });
  return [
    await tenant("demo", apiKeys.demo, ["analyze", "speak"]),
    await tenant("operator", apiKeys.operator, ["admin", "analyze", "speak"]),
  ];
}

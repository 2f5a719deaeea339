import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { createClient, type Client } from "../../shared/client/client.ts";

/** What the local planet leaves for the command line; see scripts/planet. */
const Credentials = z.object({ url: z.url(), api_key: z.string(), admin_key: z.string() });

/** Options that every command takes. */
export interface ConnectionOptions {
  url?: string;
  key?: string;
  region?: string;
}

/** A fault of the caller's, told without a stack. */
export class UsageError extends Error {}

const stateDir = () =>
  process.env.ANTIPHON_STATE_DIR ?? join(import.meta.dirname, "../../.antiphon");

/**
 * A client for the API named by --url/--key, or ANTIPHON_URL/ANTIPHON_API_KEY, or else for the planet
 * that runs on this machine. An operator's key has the scope `admin`.
 * @throws UsageError when there is neither
 */
export async function connect(
  options: ConnectionOptions,
  as: "client" | "operator" = "client",
): Promise<Client> {
  const { url, key } = await resolveConnection(options, as);
  return createClient({ baseUrl: url, apiKey: key, region: options.region });
}

async function resolveConnection(
  options: ConnectionOptions,
  as: "client" | "operator",
): Promise<{ url: string; key: string }> {
  const url = options.url ?? process.env.ANTIPHON_URL;
  const key = options.key ?? process.env.ANTIPHON_API_KEY;
  if (url && key) return { url, key };
  if (url) throw new UsageError("--url needs a key: give --key, or set ANTIPHON_API_KEY");
  const local = await readLocalCredentials();
  if (!local) {
    throw new UsageError(
      "no planet is running here: start one with `npm start`, or give --url and --key",
    );
  }
  return { url: local.url, key: key ?? (as === "operator" ? local.admin_key : local.api_key) };
}

async function readLocalCredentials(): Promise<z.infer<typeof Credentials> | undefined> {
  try {
    return Credentials.parse(
      JSON.parse(await readFile(join(stateDir(), "credentials.json"), "utf8")),
    );
  } catch {
    return undefined;
  }
}

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type Check } from "./check.ts";

const NOTICES = "THIRD_PARTY.md";
const PREFACE = "scripts/check/third-party-preface.md";

/** Licences that what ships may have. Any other needs a person's decision and a line in the preface. */
const ALLOWED = new Set([
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BSD-4-Clause",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MPL-2.0",
  "PostgreSQL",
  "Unlicense",
]);

/** Packages whose package.json names no licence: what their licence file says. */
const STATED_ELSEWHERE: Record<string, string> = { "@shinyoshiaki/jspack": "BSD-2-Clause" };

/** A package of the production tree. */
export interface Shipped {
  name: string;
  version: string;
  license: string;
}

interface LockEntry {
  version?: string;
  license?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
}

/** Whether every choice an SPDX expression leaves is allowed; of alternatives one is enough. */
export function isAllowed(license: string): boolean {
  const bare = license.replace(/^\((.*)\)$/, "$1");
  if (bare.includes(" OR ")) return bare.split(" OR ").some(isAllowed);
  if (bare.includes(" AND ")) return bare.split(" AND ").every(isAllowed);
  return ALLOWED.has(bare);
}

/**
 * The production tree as the lock file has it, so that the list is the same on every system. The licence is that of the
 * installed package.json, or where a package is not installed here, of the lock file. Builds of a package for one system
 * are left out where no licence is known: their parent is listed.
 */
export async function shippedPackages(root: string): Promise<Shipped[]> {
  const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, LockEntry>;
  };
  const shipped = new Map<string, Shipped>();
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === "" || entry.dev) continue;
    const name = path.replace(/^.*node_modules\//, "");
    const license =
      entry.license ?? STATED_ELSEWHERE[name] ?? (await installedLicense(join(root, path)));
    const version = entry.version ?? "";
    if (license === undefined && entry.optional && (entry.os ?? entry.cpu)) continue;
    shipped.set(`${name}@${version}`, { name, version, license: license ?? "unknown" });
  }
  return [...shipped.values()].toSorted((a, b) =>
    `${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1,
  );
}

async function installedLicense(folder: string): Promise<string | undefined> {
  try {
    const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as {
      license?: string | { type?: string };
    };
    return typeof manifest.license === "object" ? manifest.license.type : manifest.license;
  } catch {
    return undefined;
  }
}

/** The text of THIRD_PARTY.md. */
export function renderNotices(preface: string, shipped: Shipped[]): string {
  const rows = shipped.map(({ name, version, license }) => `| ${name} | ${version} | ${license} |`);
  return [
    preface.trim(),
    "",
    "## Packages that ship",
    "",
    "Generated from the production tree: `npm run check -- --only notices --write`. The full texts lie in each package's folder.",
    "",
    "| Package | Version | Licence |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

/** THIRD_PARTY.md lists what ships, and all of it under a licence from the list. `--write` renews the file. */
export const thirdParty: Check = {
  name: "notices",
  title: "third-party notices",
  async run({ root, write }) {
    const shipped = await shippedPackages(root);
    const refused = shipped.filter(({ license }) => !isAllowed(license));
    const text = renderNotices(await readFile(join(root, PREFACE), "utf8"), shipped);
    if (write) await writeFile(join(root, NOTICES), text);
    const current = await readFile(join(root, NOTICES), "utf8").catch(() => "");
    if (refused.length > 0) {
      return {
        ok: false,
        summary: `${refused.length} packages under a licence that is not on the list`,
        details: refused.map((p) => `${p.name}@${p.version}: ${p.license}`).join("\n"),
      };
    }
    return current === text
      ? { ok: true, summary: `${shipped.length} packages` }
      : {
          ok: false,
          summary: `${NOTICES} is stale; renew with: npm run check -- --only notices --write`,
        };
  },
};

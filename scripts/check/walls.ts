import { existsSync } from "node:fs";
import { join } from "node:path";

import { type Check } from "./check.ts";
import { withPlantedTree } from "./planted-tree.ts";
import { projectFiles, SOURCE_FOLDERS, sourceModules } from "./project-files.ts";
import { runTool, textOf } from "./run-tool.ts";

/** One import that breaks a rule. */
export interface Violation {
  rule: string;
  from: string;
  to: string;
  comment: string;
}

/** What dependency-cruiser read and what it minded. */
export interface Cruise {
  modules: string[];
  violations: Violation[];
}

interface CruiseReport {
  modules: { source: string }[];
  summary: {
    violations: {
      from: string;
      to: string;
      rule: { name: string };
      comment?: string;
      cycle?: { name: string }[];
    }[];
  };
}

/** Each planted file and the rule that must name it. */
const PLANTED_VIOLATIONS = [
  { rule: "wall-edge", from: "edge/reaches-into-regions.ts" },
  { rule: "no-node-built-ins", from: "edge/reads-a-file.ts" },
  { rule: "small-libraries-only", from: "shared/logs.ts" },
  { rule: "wall-regions-speech", from: "regions/speech/asks-the-queue.ts" },
  { rule: "wall-regions-queue", from: "regions/queue/uses-the-store.ts" },
  { rule: "driver-redis", from: "regions/api/opens-redis.ts" },
  { rule: "judges-stay-apart", from: "regions/api/imports-a-script.ts" },
  { rule: "no-cycles", from: "regions/workers/chicken.ts" },
] as const;

/**
 * Reads the imports of every module under the source folders of `tree` and judges them by its `.dependency-cruiser.mjs`.
 * Throws when the tool fails otherwise than by finding violations.
 */
export async function cruise(root: string, tree: string, signal: AbortSignal): Promise<Cruise> {
  const folders = SOURCE_FOLDERS.filter((folder) => existsSync(join(tree, folder)));
  const result = await runTool(
    "dependency-cruiser/bin/dependency-cruise.mjs",
    ["--config", ".dependency-cruiser.mjs", "--output-type", "json", ...folders],
    { root, cwd: tree, preload: import.meta.resolve("./read-using.ts"), signal },
  );
  let report: CruiseReport;
  try {
    report = JSON.parse(result.stdout) as CruiseReport;
  } catch {
    throw new Error(`dependency-cruiser gave no report:\n${textOf(result)}`);
  }
  return {
    modules: report.modules.map(({ source }) => source),
    violations: report.summary.violations.map(({ from, to, rule, comment = "", cycle }) => ({
      rule: rule.name,
      from,
      to,
      comment: cycle ? cycle.map(({ name }) => name).join(" → ") : comment,
    })),
  };
}

/** The modules that should have been read and were not. A cruise that reads nothing is content with everything. */
export function unread(expected: string[], cruised: Cruise): string[] {
  const read = new Set(cruised.modules);
  return expected.filter((path) => !read.has(path));
}

/** The planted violations that the cruise of the planted tree failed to name. */
export function unseen(planted: Cruise): string[] {
  return PLANTED_VIOLATIONS.filter(
    ({ rule, from }) =>
      !planted.violations.some((violation) => violation.rule === rule && violation.from === from),
  ).map(({ rule, from }) => `${rule} in ${from}`);
}

/** The import walls. Fails when a module went unread or a planted violation unseen. */
export const walls: Check = {
  name: "walls",
  title: "walls",
  async run({ root, signal }) {
    const expected = sourceModules(await projectFiles(root));
    const own = await cruise(root, root, signal);
    const missed = unread(expected, own);
    if (expected.length === 0 || missed.length > 0) {
      return {
        ok: false,
        summary: `read ${expected.length - missed.length} of ${expected.length} modules`,
        details: `Never read:\n${missed.map((path) => `  ${path}`).join("\n")}`,
      };
    }
    const gone = unseen(await withPlantedTree(root, (tree) => cruise(root, tree, signal)));
    if (gone.length > 0) {
      return {
        ok: false,
        summary: `planted violations went unseen: ${gone.length}`,
        details: gone.join("\n"),
      };
    }
    if (own.violations.length > 0) {
      return {
        ok: false,
        summary: `${own.violations.length} violations`,
        details: own.violations
          .map(({ rule, from, to, comment }) => `${from} → ${to}\n    ${rule}: ${comment}`)
          .join("\n"),
      };
    }
    return {
      ok: true,
      summary: `${expected.length} modules read; ${PLANTED_VIOLATIONS.length} planted violations caught`,
    };
  },
};

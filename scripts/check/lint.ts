import { type Check } from "./check.ts";
import { withPlantedTree } from "./planted-tree.ts";
import { runTool, textOf } from "./run-tool.ts";

/** Rules that must fire on the planted tree, or lint is not looking. */
const PLANTED_RULES = [
  "typescript(no-floating-promises)",
  "import(no-cycle)",
  "node(no-process-env)",
] as const;

/** Runs oxlint with type-aware rules in `tree`. */
export function lintTree(root: string, tree: string, signal: AbortSignal) {
  return runTool("oxlint/bin/oxlint", ["--disable-nested-config", "--type-aware"], {
    root,
    cwd: tree,
    signal,
  });
}

/** oxlint, type-aware. Proves on every run that it catches the planted violations. */
export const lint: Check = {
  name: "lint",
  title: "lint",
  async run({ root, signal }) {
    const [own, planted] = [
      await lintTree(root, root, signal),
      await withPlantedTree(root, (tree) => lintTree(root, tree, signal)),
    ];
    const missed = PLANTED_RULES.filter((rule) => !planted.stdout.includes(rule));
    if (missed.length > 0) {
      return {
        ok: false,
        summary: `planted violations went unseen: ${missed.join(", ")}`,
        details: textOf(planted),
      };
    }
    const tally = /Found .*|Finished in .*/g;
    const [found = "no summary"] = own.stdout.match(tally) ?? [];
    return own.code === 0
      ? { ok: true, summary: `clean; ${PLANTED_RULES.length} planted violations caught` }
      : { ok: false, summary: found, details: textOf(own) };
  },
};

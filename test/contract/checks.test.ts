import { cp, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

import { lintTree } from "../../scripts/check/lint.ts";
import { withPlantedTree } from "../../scripts/check/planted-tree.ts";
import { runTool } from "../../scripts/check/run-tool.ts";
import { mentions } from "../../scripts/check/speaks-of-itself.ts";
import { isAllowed } from "../../scripts/check/third-party.ts";
import { cruise, unread, unseen } from "../../scripts/check/walls.ts";

const root = resolve(import.meta.dirname, "../..");
const { signal } = new AbortController();

test("each planted breach of a wall is named, and lawful modules are not", async () => {
  await withPlantedTree(root, async (tree) => {
    const planted = await cruise(root, tree, signal);
    expect(unseen(planted)).toEqual([]);
    expect(planted.violations.map(({ from }) => from)).not.toContain("regions/queue/submit.ts");
    expect(planted.violations.map(({ from }) => from)).not.toContain("regions/store/store.ts");
  });
});

test("a cruise that lost its parser reads no module, and that is a failure", async () => {
  await withPlantedTree(root, async (tree) => {
    const config = join(tree, ".dependency-cruiser.mjs");
    await cp(config, join(tree, "walls.mjs"));
    await writeFile(
      config,
      `import walls from "./walls.mjs";
       export default { ...walls, options: { ...walls.options, parser: "acorn", exclude: { path: "[.]ts$" } } };`,
    );
    const blind = await cruise(root, tree, signal);
    expect(blind.violations).toEqual([]);
    expect(unread(["edge/reads-a-file.ts"], blind)).toEqual(["edge/reads-a-file.ts"]);
    expect(unseen(blind)).not.toEqual([]);
  });
});

test("a floating promise, an import cycle and a stray read of the environment do not pass lint", async () => {
  await withPlantedTree(root, async (tree) => {
    const { code, stdout } = await lintTree(root, tree, signal);
    expect(code).not.toBe(0);
    expect(stdout).toMatch(/no-floating-promises[^]*lets-a-promise-float\.ts/);
    expect(stdout).toMatch(/no-cycle[^]*chicken\.ts/);
    expect(stdout).toMatch(/no-process-env[^]*reads-the-environment\.ts/);
  });
});

test("a type error does not compile", async () => {
  await withPlantedTree(root, async (tree) => {
    const tsc = ["-b", "--pretty", "false", "regions"];
    const { code, stdout } = await runTool("typescript/bin/tsc", tsc, { root, cwd: tree, signal });
    expect(code).not.toBe(0);
    expect(stdout).toContain("has-a-type-error.ts(1,14): error TS2322");
  });
});

test("a badly formatted file is named", async () => {
  await withPlantedTree(root, async (tree) => {
    const args = ["--list-different", "regions/ops"];
    const { code, stdout } = await runTool("oxfmt/bin/oxfmt", args, { root, cwd: tree, signal });
    expect(code).not.toBe(0);
    expect(stdout).toContain("is-badly-formatted.ts");
    expect(stdout).not.toContain("reads-the-environment.ts");
  });
});

test("dead code is named by the project's own rules", async () => {
  await withPlantedTree(root, async (tree) => {
    await cp(join(root, "knip.json"), join(tree, "knip.json"));
    const { code, stdout } = await runTool(
      "knip/bin/knip.js",
      ["--no-progress", "--include", "files"],
      {
        root,
        cwd: tree,
        signal,
      },
    );
    expect(code).not.toBe(0);
    expect(stdout).toContain("regions/ops/reads-the-environment.ts");
  });
});

test("a path of one machine and a package's origin are mentions of something outside", () => {
  const path = ["", "root", "antiphon", "x"].join("/");
  expect(mentions("README.md", `see ${path}`)).toMatchObject([{ line: 1 }]);
  expect(mentions("package-lock.json", `  "resolved": "https://mirror/x.tgz",`)).toHaveLength(1);
  expect(mentions("README.md", "see https://example.com/work/ and ./work/x")).toEqual([]);
});

test("a copyleft licence is not let in unnoticed, and one allowed alternative is enough", () => {
  expect(isAllowed("GPL-3.0-or-later")).toBe(false);
  expect(isAllowed("MIT AND GPL-3.0-only")).toBe(false);
  expect(isAllowed("(MIT OR GPL-3.0-only)")).toBe(true);
});

import { type Check } from "./check.ts";
import { runTool, textOf } from "./run-tool.ts";

/** `tsc -b` over all project references; incremental, its records under dist/types. */
export const types: Check = {
  name: "types",
  title: "types",
  async run({ root, signal }) {
    const result = await runTool("typescript/bin/tsc", ["-b", "--pretty", "false"], {
      root,
      signal,
    });
    const errors = result.stdout.match(/error TS\d+/g)?.length ?? 0;
    return result.code === 0
      ? { ok: true, summary: "every project compiles" }
      : { ok: false, summary: `${errors} errors`, details: textOf(result) };
  },
};

import { type Check } from "./check.ts";
import { runTool, textOf } from "./run-tool.ts";

/** oxfmt over what is committed; `--write` formats instead of complaining. */
export const format: Check = {
  name: "format",
  title: "format",
  async run({ root, write, signal }) {
    const result = await runTool("oxfmt/bin/oxfmt", write ? ["--write"] : ["--list-different"], {
      root,
      signal,
    });
    if (result.code === 0) return { ok: true, summary: "formatted" };
    const files = result.stdout.split("\n").filter(Boolean);
    return {
      ok: false,
      summary: `${files.length} files; mend with: npm run check -- --only format --write`,
      details: textOf(result),
    };
  },
};

import { type Check } from "./check.ts";
import { runTool, textOf } from "./run-tool.ts";

/** knip: files, exports and packages that nothing uses. */
export const deadCode: Check = {
  name: "dead-code",
  title: "dead code",
  async run({ root, signal }) {
    const result = await runTool(
      "knip/bin/knip.js",
      ["--no-progress", "--cache", "--cache-location", "node_modules/.cache/knip"],
      {
        root,
        signal,
      },
    );
    if (result.code === 0) return { ok: true, summary: "everything is used" };
    const counts = [...result.stdout.matchAll(/^([A-Z][\w ]+) \((\d+)\)$/gm)].map(
      ([, kind = "", count = ""]) => `${count} ${kind.toLowerCase()}`,
    );
    return { ok: false, summary: counts.join(", ") || "knip failed", details: textOf(result) };
  },
};

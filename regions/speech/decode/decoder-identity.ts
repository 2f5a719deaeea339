import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";

const Package = z.object({ version: z.string() });

/** To be raised when our own part in decoding (resampling, levels, what is refused) gives something else than before. */
const REVISION = 1;

/** What samples and facts of a recording depend on besides it. FFmpeg itself, which comes with node-av, is not loaded. */
export function decoderIdentity(maxDurationS: number): string {
  const entry = createRequire(import.meta.url).resolve("node-av");
  const text = readFileSync(join(dirname(entry), "../package.json"), "utf8");
  const { version } = Package.parse(JSON.parse(text));
  return JSON.stringify(["node-av", version, REVISION, maxDurationS]);
}

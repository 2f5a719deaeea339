import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import type { Engine } from "../../../../shared/contracts/analysis-result.ts";
import type { Pocketsphinx } from "./find-pocketsphinx.ts";

const QUERY_TIMEOUT_MS = 10_000;

/** Names the engine: the version that the package manager knows, and a hash over all files of the model. */
export async function describePocketsphinx(found: Pocketsphinx): Promise<Engine> {
  const [version, model_sha256] = await Promise.all([packageVersion(), hashModel(found)]);
  return { name: "pocketsphinx-en-us", version, model_sha256 };
}

/** The program tells no version of its own. */
async function packageVersion(): Promise<string> {
  try {
    const query = ["-W", "-f", "${Version}", "pocketsphinx"];
    const options = { env: { PATH: "/usr/bin:/bin" }, timeout: QUERY_TIMEOUT_MS };
    const { stdout } = await promisify(execFile)("dpkg-query", query, options);
    return /^[\w.+:~-]{1,64}$/.test(stdout) ? stdout : "unknown";
  } catch {
    return "unknown";
  }
}

async function hashModel({ acoustic, language, dictionary }: Pocketsphinx): Promise<string> {
  const names = (await readdir(acoustic)).toSorted();
  const all = createHash("sha256");
  for (const file of [...names.map((name) => join(acoustic, name)), language, dictionary]) {
    const one = createHash("sha256");
    await pipeline(createReadStream(file), one);
    all.update(`${basename(file)} ${one.digest("hex")}\n`);
  }
  return all.digest("hex");
}

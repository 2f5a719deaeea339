import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { UsageError } from "./connection.ts";

/** What is known of a file that was named on the command line. @throws UsageError when it is none */
export async function findFile(path: string): Promise<Stats> {
  const facts = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") throw new UsageError(`there is no file at ${path}`);
    throw new UsageError(`cannot read ${path} (${error.code})`);
  });
  if (facts.isDirectory()) throw new UsageError(`${path} is a folder; name one file in it`);
  if (!facts.isFile()) throw new UsageError(`${path} is no ordinary file`);
  return facts;
}

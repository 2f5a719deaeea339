import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DeadLetterId } from "../../shared/contracts/dead-letters.ts";
import { regions } from "../../shared/contracts/regions.ts";

const ROOT = join(import.meta.dirname, "../..");
/** The longest is a promotion that waits out a lease. */
const COMMAND_MS = 150_000;

/**
 * Gives a command of the runbook, as a person at a terminal would, and settles to what it printed.
 * @param exits the codes that it may end with; 0 unless given
 * @throws with what it said when it ends with another
 */
export type Operate = (command: string, exits?: readonly number[]) => Promise<string>;

/** The person on duty: gives commands such as `npm run planet -- up us-east` to the planet of a folder. */
export function createOperator(
  stateDir: string,
  { signal, onCommand }: { signal: AbortSignal; onCommand?: (command: string) => void },
): Operate {
  return async (command, exits = [0]) => {
    onCommand?.(command);
    const [npm, run, name = "", dashes, ...args] = command.split(" ");
    if (npm !== "npm" || run !== "run" || dashes !== "--") {
      throw new Error(`not a command of this project: ${command}`);
    }
    const script = await scriptOf(name);
    // A key or another deployment's address in this shell must not lead the commands away from the planet.
    const { ANTIPHON_URL: _url, ANTIPHON_API_KEY: _key, ...environment } = process.env;
    const env = { ...environment, ANTIPHON_STATE_DIR: stateDir };
    return new Promise((resolve, reject) => {
      execFile(
        process.execPath,
        [script, ...args],
        { cwd: ROOT, env, signal, timeout: COMMAND_MS },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : error.code;
          if (typeof code === "number" && exits.includes(code)) resolve(stdout);
          else
            reject(
              new Error(
                `${command}: ${stderr || stdout || (error?.message ?? `exit code ${code}`)}`.trim(),
              ),
            );
        },
      );
    });
  };
}

const REGIONS = new Set(regions.map(({ id }) => id));

/** The same command with REGION and ID for what it is about, and without how it prints. */
export const generalCommand = (command: string): string =>
  command
    .split(" ")
    .filter((word) => word !== "--json")
    .map((word) =>
      REGIONS.has(word) ? "REGION" : DeadLetterId.safeParse(word).success ? "ID" : word,
    )
    .join(" ");

/** @throws when a command of the runbook was not given */
export function assertGiven(runbook: readonly string[], given: readonly string[]): void {
  const general = new Set(given.map((command) => generalCommand(command)));
  const missing = runbook.filter((command) => !general.has(command));
  if (missing.length > 0) throw new Error(`the drill did not give: ${missing.join(", ")}`);
}

/** What `npm run NAME` runs, without what npm does before it. */
async function scriptOf(name: string): Promise<string> {
  const { scripts } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const file = /^node (\S+\.ts)$/.exec(scripts[name] ?? "")?.[1];
  if (file === undefined) throw new Error(`package.json has no such command: ${name}`);
  return join(ROOT, file);
}

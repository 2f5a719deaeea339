import type { PickDeadLetters } from "../../shared/contracts/dead-letters.ts";
import { connect, UsageError, type ConnectionOptions } from "./connection.ts";

export interface DeadLettersOptions extends ConnectionOptions {
  json?: boolean;
  all?: boolean;
}

const print = (line: string) => process.stdout.write(`${line}\n`);
const inOne = (options: DeadLettersOptions) => (options.region ? { region: options.region } : {});

function warnOfAway(away: readonly string[]): void {
  if (away.length > 0) process.stderr.write(`did not answer: ${away.join(", ")}\n`);
}

/** Prints all letters, a line each. */
export async function listDeadLetters(options: DeadLettersOptions): Promise<number> {
  const client = await connect(options, "operator");
  let cursor: string | undefined;
  let found = 0;
  do {
    const page = await client.admin.listDeadLetters({ ...inOne(options), cursor });
    warnOfAway(page.away);
    for (const letter of page.data) {
      const { id, job_id, tenant_id, at, code, reason, replayed_as } = letter;
      const again = replayed_as ? `  replayed as ${replayed_as}` : "";
      const line = [id, job_id, tenant_id, at, code, reason].join("  ");
      print(options.json ? JSON.stringify(letter) : line + again);
    }
    found += page.data.length;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  if (found === 0 && !options.json) print("no dead letters");
  return 0;
}

/** Prints one letter with its attempts. */
export async function showDeadLetter(
  ids: readonly string[],
  options: DeadLettersOptions,
): Promise<number> {
  if (ids.length !== 1) throw new UsageError("give the id of one letter");
  const client = await connect(options, "operator");
  print(JSON.stringify(await client.admin.getDeadLetter(ids[0]!), null, 2));
  return 0;
}

/** Submits jobs again under new ids. Exits 1 when one could not be. */
export async function replayDeadLetters(
  ids: readonly string[],
  options: DeadLettersOptions,
): Promise<number> {
  const client = await connect(options, "operator");
  let picked: PickDeadLetters | undefined = pick(ids, options);
  let failed = 0;
  while (picked) {
    const answer = await client.admin.replayDeadLetters(picked);
    warnOfAway(answer.away);
    for (const one of answer.data) {
      if (one.error) failed++;
      const outcome = one.error
        ? `${one.error.code}: ${one.error.detail}`
        : `-> ${one.replayed_as}`;
      print(options.json ? JSON.stringify(one) : `${one.id}  ${outcome}`);
    }
    const cursor = answer.next_cursor;
    picked = cursor === null ? undefined : { all: true, ...inOne(options), cursor };
  }
  return failed > 0 ? 1 : 0;
}

/** Removes letters for good. */
export async function discardDeadLetters(
  ids: readonly string[],
  options: DeadLettersOptions,
): Promise<number> {
  const client = await connect(options, "operator");
  const answer = await client.admin.discardDeadLetters(pick(ids, options));
  warnOfAway(answer.away);
  print(options.json ? JSON.stringify(answer) : `${answer.discarded} discarded`);
  return answer.away.length > 0 ? 1 : 0;
}

function pick(ids: readonly string[], options: DeadLettersOptions): PickDeadLetters {
  if (options.all && ids.length === 0) return { all: true, ...inOne(options) };
  if (!options.all && ids.length > 0) return { ids: [...ids] };
  throw new UsageError("give ids, or --all");
}

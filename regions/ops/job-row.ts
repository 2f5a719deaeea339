import { readFileSync } from "node:fs";

/** A field of what is kept of a job in Redis: how it is stored (as Lua's `struct` names it), and what it is where there is nothing. */
type Field = readonly [stored: "B" | "I4" | "d" | "s", nothing: number | string];

/** Stored where at least one of them is something. */
const rare = {
  /** The version of its specification: workers must know it. */
  NEEDS: ["I4", 1],
  /** Most of its tenant's to run at once. */
  CAP: ["I4", 0],
  /** By when it must have started; Unix ms like all times here. */
  DEADLINE: ["d", 0],
  /** Attempts ended by errors, and by silence. */
  TRIED: ["I4", 0],
  STALLS: ["I4", 0],
  /** By how many it was passed over, and since when. */
  PASSES: ["I4", 0],
  PASSED_AT: ["d", 0],
  /** 1: its end was asked for. */
  CANCEL: ["B", 0],
  /** 1: somebody follows it, and is told of each change. */
  WATCHED: ["B", 0],
  /** "held" behind its tenant's limit, "delayed", left to "newer" workers; else, while it waits, in its lane. */
  WHERE: ["s", ""],
  /** Of a run, a fraction as it came; at first nothing. */
  PROGRESS: ["s", ""],
  /** Past attempts: JSON objects, joined by commas. */
  HISTORY: ["s", ""],
} as const satisfies Record<string, Field>;

const usual = {
  DISPATCH: ["I4", 0],
  ATTEMPT: ["I4", 0],
  /** How often anything that is told of it has changed. */
  VER: ["I4", 0],
  LANE: ["B", 1],
  /** The attempt that was finished. */
  FINISHED: ["I4", 0],
  /** Compute-milliseconds. */
  COST: ["d", 0],
  /** Its place in the order of arrival. */
  SEQ: ["d", 0],
  /** Since when it waits, or may. */
  AT: ["d", 0],
  /** Its start in the virtual time of its lane. */
  TAG: ["d", -1],
  /** Of a run: since when, until when its lease, and who has it. */
  STARTED: ["d", 0],
  EXPIRES: ["d", 0],
  WORKER: ["s", ""],
  STATUS: ["s", "queued"],
  TENANT: ["s", ""],
} as const satisfies Record<string, Field>;

/** What a script keeps of it while it runs, before these in the row: its id and key, and whether it is to be written. */
const ofScripts = ["ID", "KEY", "CHANGED"];

const names = [...ofScripts, ...Object.keys(rare), ...Object.keys(usual)];
const places = new Map(names.map((name, n) => [name, n + 1]));
const named = new RegExp(String.raw`\[(${names.join("|")})\]`, "g");

type Fields = Record<string, Field>;
const literal = (value: number | string) => (typeof value === "string" ? `'${value}'` : value);
const formOf = (fields: Fields) => Object.values(fields).map(([stored]) => stored);
const nothingOf = (fields: Fields) => Object.values(fields).map(([, value]) => literal(value));
const form = (...parts: string[]) => `'<${parts.join("")}'`;

/** What stands in job-row.lua in capitals. */
const inserted: Record<string, string> = {
  READ_USUAL: form(...formOf(usual)),
  READ_WHOLE: form(...formOf(rare), ...formOf(usual)),
  WRITE_USUAL: form("B", ...formOf(usual)),
  WRITE_WHOLE: form("B", ...formOf(rare), ...formOf(usual)),
  RARE_NOTHINGS: nothingOf(rare).join(", "),
  USUAL_NOTHINGS: nothingOf(usual).join(", "),
  IS_USUAL: Object.entries<Field>(rare)
    .map(([name, [, value]]) => `row[${name}] == ${literal(value)}`)
    .join(" and "),
  FIRST: String(ofScripts.length + 1),
  FIRST_USUAL: String(ofScripts.length + Object.keys(rare).length + 1),
  LAST: String(names.length),
};
const lua = readFileSync(new URL("./job-row.lua", import.meta.url), "utf8").replaceAll(
  /\b[A-Z_]{4,}\b/g,
  (word) => inserted[word] ?? word,
);

/**
 * A Lua script that knows rows: `new_row`, `row_of` and `record_of` go before it, and in brackets the names of fields become their
 * places. (As variables they would have to be bound to each of the script's functions in each of its runs, which costs more than the
 * functions.)
 */
export function withJobRows(script: string): string {
  return `${lua}\n${script}`.replaceAll(named, (_, name: string) => `[${places.get(name)}]`);
}

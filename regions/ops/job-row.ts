import { readFileSync } from "node:fs";

/**
 * What is kept of a job in Redis, field by field: how each is stored (as Lua's `struct` names it) and what it is where there is
 * nothing. The queue's steps and those of the relay read and write it.
 */
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

const formOf = (fields: Record<string, Field>) =>
  Object.values(fields)
    .map(([stored]) => stored)
    .join("");
const literal = (value: number | string) => (typeof value === "string" ? `'${value}'` : value);
const nothings = (fields: Record<string, Field>) =>
  Object.values(fields)
    .map(([, nothing]) => literal(nothing))
    .join(", ");
const isUsual = Object.entries<Field>(rare).map(
  ([name, [, nothing]]) => `row[${name}] == ${literal(nothing)}`,
);
const lua = readFileSync(new URL("./job-row.lua", import.meta.url), "utf8")
  .replaceAll("READ_USUAL", `'<${formOf(usual)}'`)
  .replaceAll("READ_WHOLE", `'<${formOf(rare)}${formOf(usual)}'`)
  .replaceAll("WRITE_USUAL", `'<B${formOf(usual)}'`)
  .replaceAll("WRITE_WHOLE", `'<B${formOf(rare)}${formOf(usual)}'`)
  .replaceAll("RARE_NOTHINGS", nothings(rare))
  .replaceAll("USUAL_NOTHINGS", nothings(usual))
  .replaceAll("FROM_USUAL", String(ofScripts.length + Object.keys(rare).length + 1))
  .replaceAll("FROM", String(ofScripts.length + 1))
  .replaceAll("TO_LAST", String(names.length))
  .replaceAll("IS_USUAL", isUsual.join(" and "));

/**
 * A Lua script that knows rows: `new_row`, `row_of` and `record_of` go before it, and in brackets the names of fields become their
 * places. (As variables they would have to be bound to each of the script's functions in each of its runs, which costs more than the
 * functions.)
 */
export function withJobRows(script: string): string {
  return `${lua}\n${script}`.replaceAll(named, (_, name: string) => `[${places.get(name)}]`);
}

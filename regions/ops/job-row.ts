import { readFileSync } from "node:fs";

/**
 * What is kept of a job in Redis, field by field: how each is stored (as Lua's `struct` names it) and what it is where there is
 * nothing. The queue's steps and those of the relay read and write it.
 */
const fields = {
  /** The number of this layout. Records of the one before it were maps, which begin with another byte. */
  FORMAT: ["B", 1],
  DISPATCH: ["I4", 0],
  ATTEMPT: ["I4", 0],
  /** How often anything that is told of it has changed. */
  VER: ["I4", 0],
  LANE: ["B", 1],
  /** The version of its specification: workers must know it. */
  NEEDS: ["I4", 1],
  /** Most of its tenant's to run at once. */
  CAP: ["I4", 0],
  /** Attempts ended by errors, and by silence. */
  TRIED: ["I4", 0],
  STALLS: ["I4", 0],
  /** By how many it was passed over, and since when. */
  PASSES: ["I4", 0],
  PASSED_AT: ["d", 0],
  /** The attempt that was finished. */
  FINISHED: ["I4", 0],
  /** 1: its end was asked for. */
  CANCEL: ["B", 0],
  /** 1: somebody follows it, and is told of each change. */
  WATCHED: ["B", 0],
  /** Compute-milliseconds. */
  COST: ["d", 0],
  /** Its place in the order of arrival. */
  SEQ: ["d", 0],
  /** Since when it waits, or may; Unix ms like all times here. */
  AT: ["d", 0],
  /** Its start in the virtual time of its lane. */
  TAG: ["d", -1],
  /** By when it must have started. */
  DEADLINE: ["d", 0],
  /** Of a run: since when, until when its lease, and who has it. */
  STARTED: ["d", 0],
  EXPIRES: ["d", 0],
  WORKER: ["s", ""],
  STATUS: ["s", "queued"],
  /** "held" behind its tenant's limit, "delayed", left to "newer" workers; else, while it waits, in its lane. */
  WHERE: ["s", ""],
  TENANT: ["s", ""],
  /** A fraction, as it came. */
  PROGRESS: ["s", ""],
  /** Past attempts: JSON objects, joined by commas. */
  HISTORY: ["s", ""],
} as const satisfies Record<string, readonly ["B" | "I4" | "d" | "s", number | string]>;

/** What a script keeps of it while it runs, before these in the row: its id and key, and whether it is to be written. */
const ofScripts = ["ID", "KEY", "CHANGED"];

const places = new Map([...ofScripts, ...Object.keys(fields)].map((name, n) => [name, n + 1]));
const named = new RegExp(String.raw`\[(${[...places.keys()].join("|")})\]`, "g");
const stored = Object.values(fields);
const literal = (value: number | string) => (typeof value === "string" ? `'${value}'` : value);
const nothing = [...ofScripts.map(() => "false"), ...stored.map(([, value]) => literal(value))];
const lua = [
  `local LAYOUT = '<${stored.map(([form]) => form).join("")}'`,
  `local FIRST, LAST = ${ofScripts.length + 1}, ${places.size}`,
  `local NOTHING = { ${nothing.join(", ")} }`,
  readFileSync(new URL("./job-row.lua", import.meta.url), "utf8"),
].join("\n");

/**
 * A Lua script that knows rows: `row_of` and `record_of` go before it, and in brackets the names of fields become their places. (As
 * variables they would have to be bound to each of the script's functions in each of its runs, which costs more than the functions.)
 */
export function withJobRows(script: string): string {
  return `${lua}\n${script}`.replaceAll(named, (_, name: string) => `[${places.get(name)}]`);
}

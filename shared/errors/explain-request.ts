import { z } from "zod";

export const FieldError = z.strictObject({ path: z.string(), message: z.string() });
export type FieldError = z.infer<typeof FieldError>;

const MISSING = "is missing";
/** Values that are named one by one when none of them was given. */
const MAX_NAMED_VALUES = 12;

const types: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
  null: "null",
};
const formats: Readonly<Record<string, string>> = {
  url: "must be a URL",
  date: "must be a day, such as 2026-11-21",
  datetime: "must be a time in UTC, such as 2026-11-21T09:30:00Z",
};
/** What a size counts, by what has it; a number's is its value. */
const counted: Readonly<Record<string, readonly [one: string, many: string]>> = {
  string: ["character", "characters"],
  array: ["item", "items"],
};

/**
 * Zod's issues in plain words, for whoever sent the request; given to each parse. What a schema says in words of its own stands
 * before these. Zod's own tell of its types and signs, and of what was left out as `undefined`.
 */
export const explainIssue: z.core.$ZodErrorMap = (issue) => {
  if (issue.input === undefined && issue.code !== "custom") return MISSING;
  switch (issue.code) {
    case "invalid_type":
      return `must be ${types[issue.expected] ?? `of type ${issue.expected}`}`;
    case "too_small":
      return bound(issue.origin, issue.minimum, issue.inclusive === false ? "more than" : "least");
    case "too_big":
      return bound(issue.origin, issue.maximum, issue.inclusive === false ? "less than" : "most");
    case "not_multiple_of":
      return `must be a multiple of ${issue.divisor}`;
    case "invalid_format":
      return formats[issue.format] ?? "does not have the form that it must have";
    case "invalid_value":
      return oneOf(issue.values.map(String));
    case "invalid_key":
      return `has a name that ${issue.issues.map(({ message }) => message).join(", and ")}`;
    default:
      return "is not valid";
  }
};

function bound(origin: string, limit: number | bigint, how: string): string {
  const words = counted[origin];
  const value = words ? `${limit} ${limit === 1 ? words[0] : words[1]}` : String(limit);
  if (words && how === "least" && limit === 1) return "must not be empty";
  const verb = words ? "must have" : "must be";
  return how.endsWith("than") ? `${verb} ${how} ${value}` : `${verb} ${value} at ${how}`;
}

function oneOf(values: readonly string[]): string {
  if (values.length === 1) return `must be ${values[0]}`;
  return values.length > MAX_NAMED_VALUES
    ? `is not one of the ${values.length} that there are; see the API reference`
    : `must be one of ${values.join(", ")}`;
}

/** What is wrong with which field, once the request was parsed with `explainIssue`. Of one field the first fault is told, from which others follow. */
export function fieldErrors(issues: readonly z.core.$ZodIssue[]): FieldError[] {
  const byPath = new Map<string, FieldError>();
  for (const error of issues.flatMap(toErrors)) {
    if (!byPath.has(error.path)) byPath.set(error.path, error);
  }
  return [...byPath.values()];
}

function toErrors(issue: z.core.$ZodIssue): FieldError[] {
  const at = (...more: PropertyKey[]) => [...issue.path, ...more].map(String).join(".");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: at(key), message: "is not a known field" }));
  }
  if (issue.code === "invalid_union") {
    const [meant, ...more] = issue.errors.filter((branch) => branch.every(isAboutValue));
    if (meant && more.length === 0) {
      return meant.flatMap((each) => toErrors({ ...each, path: [...issue.path, ...each.path] }));
    }
  }
  return [{ path: at(), message: issue.message }];
}

/** Not of which fields there are, but of what one of them holds: then this is the form that was meant. */
const isAboutValue = ({ code, path, message }: z.core.$ZodIssue): boolean =>
  code !== "unrecognized_keys" && path.length > 0 && message !== MISSING;

import { z } from "zod";

const DAY_MS = 86_400_000;

/** Days that one call may cover: the two years for which events are kept. */
const MAX_RANGE_DAYS = 731;

const Day = z.iso
  .date("must be a day, such as 2026-11-21")
  .refine((day) => day >= "2025-01-01" && day <= "2099-12-31", "must lie between 2025 and 2099");

/** Both ends of a range of days (UTC), both in it. */
export const dayRange = {
  from: Day.meta({ description: "First day, UTC" }),
  to: Day.meta({ description: "Last day, UTC; it is in the range" }),
};

/** What is wrong with a range of two days, if anything. */
export function checkRange({ from, to }: { from: string; to: string }): string | undefined {
  if (from > to) return "must not be after `to`";
  const days = (Date.parse(to) - Date.parse(from)) / DAY_MS + 1;
  return days > MAX_RANGE_DAYS
    ? `must be less than ${MAX_RANGE_DAYS} days before \`to\``
    : undefined;
}

/** When a day begins (UTC), moved by `days`, as the database takes it. */
export const startOfDay = (day: string, days = 0): string =>
  new Date(Date.parse(day) + days * DAY_MS).toISOString();

/** The day of a moment (Unix ms), moved by `days`. */
export const dayOf = (ms: number, days = 0): string =>
  new Date(ms + days * DAY_MS).toISOString().slice(0, 10);

import { cardinalWords, ordinalWords, yearWords } from "./number-words.ts";
import { endsSentence } from "./ends-sentence.ts";
import { MONTHS } from "./word-tables.ts";

const MONTH =
  "(January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)";

const ISO =
  /(?<![\w-])(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?(?![\w-])/g;
const SLASHED = /(?<![\w/])(\d{1,2})\/(\d{1,2})\/(\d{4}|\d{2})(?![\w/])/g;
const MONTH_FIRST = new RegExp(
  `\\b${MONTH}\\.? (\\d{1,2})(?:st|nd|rd|th)?(?:,? (\\d{4}))?(?![\\w:%/]|[.,]\\d)`,
  "g",
);
const DAY_FIRST = new RegExp(
  `(?<![\\w.,/])(\\d{1,2})(?:st|nd|rd|th)?(?: of)? ${MONTH}\\b\\.?(?:,? (\\d{4})(?![\\w:%]))?`,
  "g",
);
const CLOCK = /(?<![\w:.])(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?: ?([ap])(\.?)m\b(\.?))?(?![\w:])/gi;
const HOUR = /(?<![\w:.,])(1[0-2]|[1-9]) ?([ap])(\.?)m\b(\.?)/gi;

function dateWords(year: string | undefined, month: number, day: number): string | undefined {
  if (month < 1 || month > 12 || day < 1 || day > 31) return undefined;
  const date = `${MONTHS[month - 1]} ${ordinalWords(String(day))}`;
  return year === undefined ? date : `${date}, ${yearWords(year)}`;
}

const monthNumber = (name: string): number =>
  MONTHS.findIndex((month) => month.startsWith(name.slice(0, 3).toLowerCase())) + 1;

/** Hours and minutes as they are said: “17:45” → “seventeen forty five”, “9:05” → “nine oh five”. */
function clockWords(hour: string, minute: string, halfDay: boolean): string {
  const hours = cardinalWords(String(Number(hour)));
  if (minute === "00") {
    if (halfDay) return hours;
    return Number(hour) > 12 || Number(hour) === 0 ? `${hours} hundred hours` : `${hours} o'clock`;
  }
  const minutes = cardinalWords(String(Number(minute)));
  return `${hours} ${minute.startsWith("0") ? "oh " : ""}${minutes}`;
}

const halfDayWords = (letter: string): string => (letter.toLowerCase() === "a" ? "ay m" : "p m");

/** Dates (ISO, with slashes in the American order, with the month's name) and times of day in words. */
export function sayDates(text: string): string {
  return text
    .replaceAll(ISO, (all, year: string, month: string, day: string, ...rest: unknown[]) => {
      const [hour, minute, second, zone] = rest as (string | undefined)[];
      const date = dateWords(year, Number(month), Number(day));
      if (date === undefined) return all;
      if (hour === undefined || minute === undefined) return date;
      const seconds =
        second === undefined || second === "00"
          ? ""
          : ` and ${cardinalWords(String(Number(second)))} seconds`;
      return `${date}, at ${clockWords(hour, minute, false)}${seconds}${zone === "Z" ? ", u t c" : ""}`;
    })
    .replaceAll(SLASHED, (all, first: string, second: string, year: string) => {
      const dayFirst = Number(first) > 12;
      const full = year.length === 4 ? year : `${Number(year) < 70 ? 20 : 19}${year}`;
      const [month, day] = dayFirst ? [second, first] : [first, second];
      return dateWords(full, Number(month), Number(day)) ?? all;
    })
    .replaceAll(
      MONTH_FIRST,
      (all, month: string, day: string, year?: string) =>
        dateWords(year, monthNumber(month), Number(day)) ?? all,
    )
    .replaceAll(
      DAY_FIRST,
      (all, day: string, month: string, year?: string) =>
        dateWords(year, monthNumber(month), Number(day)) ?? all,
    )
    .replaceAll(CLOCK, (all, hour: string, minute: string, ...rest: unknown[]) => {
      const [second, half, , stop] = rest as (string | undefined)[];
      if (Number(hour) > 24) return all;
      const whole = rest.at(-1) as string;
      const at = rest.at(-2) as number;
      const words = clockWords(hour, minute, half !== undefined);
      const seconds =
        second === undefined ? "" : ` and ${cardinalWords(String(Number(second)))} seconds`;
      const halfDay = half === undefined ? "" : ` ${halfDayWords(half)}`;
      const end = stop === "." && endsSentence(whole, at + all.length) ? "." : "";
      return words + seconds + halfDay + end;
    })
    .replaceAll(HOUR, (all, hour: string, half: string, ...rest: unknown[]) => {
      const [, stop] = rest as string[];
      const whole = rest.at(-1) as string;
      const at = rest.at(-2) as number;
      const end = stop === "." && endsSentence(whole, at + all.length) ? "." : "";
      return `${cardinalWords(hour)} ${halfDayWords(half)}${end}`;
    });
}

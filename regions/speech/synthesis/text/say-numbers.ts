import {
  cardinalWords,
  decimalWords,
  digitWords,
  ordinalWords,
  pluralWords,
  yearWords,
} from "./number-words.ts";
import { CURRENCIES, UNITS, UNITS_ATTACHED } from "./word-tables.ts";

const NUMBER = "(?:\\d{1,3}(?:,\\d{3})+|\\d+)(?:\\.\\d+)?";
const START = "(?<![\\w.,])";

const escape = (text: string) => text.replaceAll(/[$^.*+?()[\]{}|\\/]/g, "\\$&");
const anyOf = (words: readonly string[]) =>
  words
    .toSorted((a, b) => b.length - a.length)
    .map(escape)
    .join("|");

const SIGN = anyOf(Object.keys(CURRENCIES).filter((key) => !/^[A-Z]+$/.test(key)));
const CODE = anyOf(Object.keys(CURRENCIES).filter((key) => /^[A-Z]+$/.test(key)));
const SCALE = "(?: ?(thousand|million|billion|trillion|[kKmMbB]n?)\\b)?";
const MONEY_BEFORE = new RegExp(`(?<![\\w$])(${SIGN}|\\b(?:${CODE})) ?(${NUMBER})${SCALE}`, "g");
const MONEY_AFTER = new RegExp(`${START}(${NUMBER})${SCALE} ?([€£]|(?:${CODE})\\b)`, "g");
const SCALES: Record<string, string> = { k: "thousand", m: "million", b: "billion" };

const UNIT = new RegExp(
  `${START}(${NUMBER})( ?)(${anyOf(Object.keys(UNITS))})( squared| cubed)?(?![\\w/°])`,
  "g",
);
const PERCENT = new RegExp(`${START}(${NUMBER}) ?%`, "g");
const RANGE = new RegExp(`(?<![\\w.,/-])(${NUMBER})-(${NUMBER})(?![\\d-])`, "g");
const PHONE =
  /(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])|(?<![\w.-])\+\d{1,3}(?:[ -]\d{2,4}){2,5}(?![\w-])|(?<![\w.-])\d{3}-\d{4}(?![\w-])|(?<![\w.-])\d{4}(?:[ -]\d{4}){3}(?![\w-])/g;
const ORDINAL = /(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b/g;
const DECADE = /(?<!\w)'?(\d{2})?(\d)0s\b/g;
const VERSION = /(?<![\w.])(\d+(?:\.\d+){2,})(?![\w])/g;
const MIXED = /(?<![\w/.])(\d+) (\d{1,2})\/(\d{1,2})(?![\w/])/g;
const FRACTION = /(?<![\w/.])(\d{1,3})\/(\d{1,3})(?![\w/])/g;
const PLAIN = new RegExp(NUMBER, "g");

const plain = (number: string): string => number.replaceAll(",", "");
const numberWords = (number: string): string => decimalWords(plain(number));

function moneyWords(currency: string, number: string, scale: string | undefined): string {
  const [one, many, hundredth, hundredths] = CURRENCIES[currency]!;
  if (scale !== undefined) {
    const word = SCALES[scale[0]!.toLowerCase()] ?? scale;
    return `${numberWords(number)} ${scale.length > 2 ? scale : word} ${many}`;
  }
  const [whole = "0", part] = plain(number).split(".");
  if (part !== undefined && (part.length !== 2 || hundredth === undefined)) {
    return `${numberWords(number)} ${many}`;
  }
  const amount = `${cardinalWords(whole)} ${whole === "1" ? one : many}`;
  if (part === undefined || part === "00") return amount;
  const parts = `${cardinalWords(String(Number(part)))} ${part === "01" ? hundredth : hundredths}`;
  return /^0+$/.test(whole) ? parts : `${amount} and ${parts}`;
}

function fractionWords(numerator: string, denominator: string): string {
  const one = numerator === "1";
  const above = cardinalWords(numerator);
  if (denominator === "2") return `${above} ${one ? "half" : "halves"}`;
  if (denominator === "4") return `${above} ${one ? "quarter" : "quarters"}`;
  if (numerator === "24" && denominator === "7") return "twenty four seven";
  const n = Number(denominator);
  if (n < 3 || n > 20) return `${above} over ${cardinalWords(denominator)}`;
  return `${above} ${ordinalWords(denominator)}${one ? "" : "s"}`;
}

/** Whole numbers of four digits from 1100 to 2099 are read as years, which is also how such amounts are said. */
function plainWords(number: string): string {
  return /^(1[1-9]|20)\d\d$/.test(number) ? yearWords(number) : numberWords(number);
}

/**
 * Amounts, measures, telephone numbers, ordinals, decades, versions, fractions, ranges, decimals, years and what digits
 * are left, in words. After it, no digit is left.
 */
export function sayNumbers(text: string): string {
  return (
    text
      .replaceAll(PHONE, (all) => {
        const groups = Array.from(all.matchAll(/\d+/g), ([digits]) => digitWords(digits));
        return `${all.startsWith("+") ? "plus " : ""}${groups.join(", ")}`;
      })
      .replaceAll(DECADE, (_, century: string | undefined, ten: string) => {
        if (century === undefined) return pluralWords(cardinalWords(`${ten}0`));
        return pluralWords(yearWords(`${century}${ten}0`));
      })
      .replaceAll(/\bv(?=\d)/g, "v ")
      .replaceAll(/(?<=^|[\s(])-(?=[\d$€£¥₹])/gm, "minus ")
      .replaceAll(RANGE, "$1 to $2")
      .replaceAll(MONEY_BEFORE, (_, currency: string, number: string, scale?: string) =>
        moneyWords(currency, number, scale),
      )
      .replaceAll(MONEY_AFTER, (_, number: string, scale: string | undefined, currency: string) =>
        moneyWords(currency, number, scale),
      )
      .replaceAll(PERCENT, (_, number: string) => `${numberWords(number)} percent`)
      .replaceAll(
        UNIT,
        (all, number: string, space: string, unit: string, power: string | undefined) => {
          if (space !== "" && UNITS_ATTACHED.has(unit)) return all;
          const [one, many] = UNITS[unit]!;
          const shape = power === undefined ? "" : power === " squared" ? "square " : "cubic ";
          return `${numberWords(number)} ${shape}${number === "1" ? one : many}`;
        },
      )
      .replaceAll(ORDINAL, (_, number: string) => ordinalWords(plain(number)))
      .replaceAll(VERSION, (_, version: string) =>
        version
          .split(".")
          .map((part) => cardinalWords(part))
          .join(" point "),
      )
      .replaceAll(
        MIXED,
        (_, whole: string, above: string, below: string) =>
          `${cardinalWords(whole)} and ${fractionWords(above, below)}`,
      )
      .replaceAll(FRACTION, (_, above: string, below: string) => fractionWords(above, below))
      .replaceAll(/#(?=\d)/g, "number ")
      .replaceAll(/~(?=\d)/g, "about ")
      // “MP3”, “4K”, “B2B”: letters and digits are said apart.
      .replaceAll(/\bA(?=\d)/g, "ay ")
      .replaceAll(/(?<=[A-Za-z])-?(?=\d)|(?<=\d)-?(?=[A-Za-z])/g, " ")
      .replaceAll(PLAIN, (number) => ` ${plainWords(number)} `)
      // What is no ASCII digit but counts as one in some script was folded or refused before.
      .replaceAll(/\d/g, " ")
  );
}

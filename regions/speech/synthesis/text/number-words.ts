/** English words of numbers, from digits as text, so that no number is too large to be read rightly. */

const ONES = [
  "zero",
  "one",
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
  "ten",
  "eleven",
  "twelve",
  "thirteen",
  "fourteen",
  "fifteen",
  "sixteen",
  "seventeen",
  "eighteen",
  "nineteen",
];
const TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES = ["", " thousand", " million", " billion", " trillion", " quadrillion"];

const IRREGULAR_ORDINALS: Record<string, string> = {
  one: "first",
  two: "second",
  three: "third",
  five: "fifth",
  eight: "eighth",
  nine: "ninth",
  twelve: "twelfth",
};

function belowHundred(n: number): string {
  if (n < 20) return ONES[n]!;
  const rest = n % 10;
  return TENS[Math.floor(n / 10)]! + (rest === 0 ? "" : ` ${ONES[rest]}`);
}

function belowThousand(n: number): string {
  if (n < 100) return belowHundred(n);
  const rest = n % 100;
  return `${ONES[Math.floor(n / 100)]} hundred${rest === 0 ? "" : ` ${belowHundred(rest)}`}`;
}

/** “007” → “zero zero seven”. */
export const digitWords = (digits: string): string =>
  Array.from(digits, (digit) => ONES[Number(digit)]).join(" ");

/** A whole number. What begins with a zero, or is beyond quadrillions, is read digit by digit: it counts nothing. */
export function cardinalWords(digits: string): string {
  if (digits.length > SCALES.length * 3 || (digits.length > 1 && digits.startsWith("0"))) {
    return digitWords(digits);
  }
  if (/^0*$/.test(digits)) return "zero";
  const words: string[] = [];
  for (let end = digits.length, scale = 0; end > 0; end -= 3, scale += 1) {
    const group = Number(digits.slice(Math.max(0, end - 3), end));
    if (group > 0) words.unshift(belowThousand(group) + SCALES[scale]!);
  }
  return words.join(" ");
}

/** “21” → “twenty first”. */
export function ordinalWords(digits: string): string {
  const words = cardinalWords(digits).split(" ");
  const last = words.pop()!;
  const ordinal =
    IRREGULAR_ORDINALS[last] ?? (last.endsWith("y") ? `${last.slice(0, -1)}ieth` : `${last}th`);
  return [...words, ordinal].join(" ");
}

/** A decimal number without separators of thousands: “3.14” → “three point one four”. */
export function decimalWords(number: string): string {
  const [whole = "", fraction] = number.split(".");
  const words = cardinalWords(whole === "" ? "0" : whole);
  return fraction === undefined || fraction === ""
    ? words
    : `${words} point ${digitWords(fraction)}`;
}

/** A year of four digits, as it is said: “1984” → “nineteen eighty four”, “2005” → “two thousand five”. */
export function yearWords(digits: string): string {
  const century = Number(digits.slice(0, 2));
  const rest = Number(digits.slice(2));
  if (century % 10 === 0 && rest < 10) return cardinalWords(digits);
  if (rest === 0) return `${belowHundred(century)} hundred`;
  return `${belowHundred(century)} ${rest < 10 ? `oh ${ONES[rest]}` : belowHundred(rest)}`;
}

/** “twenties”, “nineties”; of the words of a year or a ten. */
export function pluralWords(words: string): string {
  if (words.endsWith("y")) return `${words.slice(0, -1)}ies`;
  return /(s|x)$/.test(words) ? `${words}es` : `${words}s`;
}

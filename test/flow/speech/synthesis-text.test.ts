import { describe, expect, test } from "vitest";
import { ApiError } from "../../../shared/errors/problem.ts";
import { normalizeText } from "../../../regions/speech/synthesis/text/normalize-text.ts";
import { prepareText } from "../../../regions/speech/synthesis/text/prepare-text.ts";
import {
  MAX_PIECE,
  splitSentences,
} from "../../../regions/speech/synthesis/text/split-sentences.ts";

const said: Record<string, [written: string, spoken: string][]> = {
  numbers: [
    [
      "I have 5 cats and 1,234.5 dogs.",
      "i have five cats and one thousand two hundred thirty four point five dogs.",
    ],
    [
      "0, 10, 15, 20, 100, 101, 1,000,001",
      "zero, ten, fifteen, twenty, one hundred, one hundred one, one million one",
    ],
    ["It fell by -3.05", "it fell by minus three point zero five"],
    [
      "007 and 123456789012345678901",
      "zero zero seven and one two three four five six seven eight nine zero one two three four five six seven eight nine zero one",
    ],
    [
      "1st, 2nd, 3rd, 12th, 21st, 30th, 1,000th",
      "first, second, third, twelfth, twenty first, thirtieth, one thousandth",
    ],
    [
      "1/2, 3/4, 2 1/2, 5/8, ½ cup, 24/7",
      "one half, three quarters, two and one half, five eighths, one half cup, twenty four seven",
    ],
    ["5-10 people", "five to ten people"],
    ["v1.2.3 and #7", "v one point two point three and number seven"],
  ],
  "years and dates": [
    [
      "1984, 2000, 2005, 2024, 1900, 1905",
      "nineteen eighty four, two thousand, two thousand five, twenty twenty four, nineteen hundred, nineteen oh five",
    ],
    ["the 1990s and the '80s", "the nineteen nineties and the eighties"],
    ["1990-1995", "nineteen ninety to nineteen ninety five"],
    ["on 2024-05-01.", "on may first, twenty twenty four."],
    [
      "5/1/2024 and 13/1/99",
      "may first, twenty twenty four and january thirteenth, nineteen ninety nine",
    ],
    ["May 1st, 2024", "may first, twenty twenty four"],
    ["1 May 2024", "may first, twenty twenty four"],
    ["Jan. 5 or 22nd of Dec 2020", "january fifth or december twenty second, twenty twenty"],
    ["2024-13-45", "twenty twenty four thirteen forty five"],
  ],
  times: [
    [
      "17:45 9:05 12:00 17:00",
      "seventeen forty five nine oh five twelve o'clock seventeen hundred hours",
    ],
    ["5:30pm, 10:30:15", "five thirty p m, ten thirty and fifteen seconds"],
    ["Come at 5 p.m. Bring tea.", "come at five p m. bring tea."],
    ["at 6 a.m. or so", "at six ay m or so"],
    ["2024-05-01T17:30:00Z", "may first, twenty twenty four, at seventeen thirty, u t c"],
  ],
  "money and percent": [
    [
      "$5.20, $1, $0.99, $1.00",
      "five dollars and twenty cents, one dollar, ninety nine cents, one dollar",
    ],
    [
      "£1.01 €5 5€ 5 USD US$7 ¥500",
      "one pound and one penny five euros five euros five dollars seven dollars five hundred yen",
    ],
    [
      "$1.5 million, $5k, -$2",
      "one point five million dollars, five thousand dollars, minus two dollars",
    ],
    ["12.5% or 5-10%", "twelve point five percent or five to ten percent"],
  ],
  units: [
    ["1 km, 2 km, 5km", "one kilometer, two kilometers, five kilometers"],
    [
      "-5°C, 100 km/h, 5 m²",
      "minus five degrees celsius, one hundred kilometers per hour, five square meters",
    ],
    ["16 kHz 3.5GB 10 μs", "sixteen kilohertz three point five gigabytes ten microseconds"],
    ["5 in a row", "five in a row"],
  ],
  "digits in groups": [
    ["+1 (555) 123-4567", "plus one, five five five, one two three, four five six seven"],
    ["555-1234", "five five five, one two three four"],
    [
      "1234 5678 9012 3456",
      "one two three four, five six seven eight, nine zero one two, three four five six",
    ],
  ],
  abbreviations: [
    ["Dr. Smith and Mrs Jones", "doctor smith and missus jones"],
    ["Main St. in St. Paul", "main street in saint paul"],
    ["apples, e.g. red ones, i.e. ripe", "apples, for example, red ones, that is, ripe"],
    ["tea, milk, etc. He left.", "tea, milk, et cetera. he left."],
    ["cats vs. dogs", "cats versus dogs"],
    ["No. 5. No. Really", "number five. no. really"],
    ["J. R. R. Tolkien", "j r r tolkien"],
  ],
  acronyms: [
    ["The FBI and NASA sold 3 CDs", "the f b i and nasa sold three c d's"],
    ["The U.S. Army left the U.S.A.", "the u s army left the u s ay."],
    ["I did NOT say that", "i did not say that"],
    ["STOP SHOUTING AT ME", "stop shouting at me"],
    ["MP3 H2O 4K COVID-19 A4", "m p three h two o four k covid nineteen ay four"],
  ],
  addresses: [
    [
      "See https://www.example.com/a-b?x=1, ok",
      "see w w w dot example dot com slash a dash b question mark x equals one, ok",
    ],
    ["mail joe.bloggs@example.co.uk!", "mail joe dot bloggs at example dot co dot u k!"],
    ["example.org is up", "example dot org is up"],
    ["file.txt", "file dot txt"],
  ],
  "symbols and stray characters": [
    ["R&D @ home + work = 8", "r and d at home plus work equals eight"],
    ["and/or, yes/no", "and or, yes slash no"],
    ["“Quoted” — ‘it’s’ – fine…", "quoted, it's, fine."],
    ["Wait... what?! No!!!", "wait, what? no!"],
    ["naïve café Straße Łódź", "naive cafe strasse lodz"],
    ["ａｂｃ １２", "abc twelve"],
    ["hi\u0000\u0007\u200b\u202e \u{1f600} there", "hi there"],
    ["a\tb\r\nc", "a b\nc"],
    ["The number π is 3.14", "the number pi is three point one four"],
    ["\ud800 lone", "lone"],
  ],
};

describe.each(Object.entries(said))("%s are said in words", (_, table) => {
  test.each(table)("%s", (written, spoken) => {
    expect(normalizeText(written)).toBe(spoken);
  });
});

test("what is said holds only letters and marks, whatever was written", () => {
  const every = Array.from({ length: 0x3000 }, (_, code) => String.fromCodePoint(code)).join(" ");
  expect(normalizeText(`x ${every} x`)).toMatch(/^[a-z' ,.;:!?\n]+$/);
});

test("sentences end at their marks and lines, not at abbreviations or decimals", () => {
  const text =
    "Dr. Smith paid $3.50, i.e. too much. Why? He left at 5 p.m. Then it rained\nThe end";
  expect(splitSentences(normalizeText(text))).toEqual([
    "doctor smith paid three dollars and fifty cents, that is, too much.",
    "why?",
    "he left at five p m.",
    "then it rained",
    "the end",
  ]);
});

test("a sentence that is too long is cut at commas, then between words, then anywhere; nothing is lost", () => {
  const clause = "the quick brown fox jumps over the lazy dog";
  const clauses = Array.from({ length: 20 }, () => clause).join(", ");
  const words = Array.from({ length: 200 }, () => "word").join(" ");
  for (const text of [clauses, words, "a".repeat(950)]) {
    const pieces = splitSentences(`${text}.`);
    expect(pieces.length).toBeGreaterThan(1);
    for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(MAX_PIECE);
    expect(pieces.join("").replaceAll(" ", "")).toBe(`${text}.`.replaceAll(" ", ""));
  }
  expect(
    splitSentences(clauses)
      .slice(0, -1)
      .every((piece) => piece.endsWith("dog,")),
  ).toBe(true);
  expect(splitSentences(words).every((piece) => /^(word ?)+$/.test(piece))).toBe(true);
});

const refusal = (text: string): ApiError => {
  try {
    prepareText(text);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("the text was taken");
};

test.each([
  ["Привет", "Cyrillic"],
  ["say 你好 to her", "Han"],
  ["مرحبا", "Arabic"],
  ["\u202eשלום\u202c", "Hebrew"],
  ["नमस्ते", "Devanagari"],
  ["καλημέρα", "Greek"],
])("%s is refused with the name of its script", (text, script) => {
  const error = refusal(text);
  expect(error.code).toBe("text_language_unsupported");
  expect(error.message).toContain(script);
  expect(error.errors).toEqual([{ path: "input", message: expect.stringContaining(script) }]);
});

test.each(["", "...", "\u{1f600}\u{1f600}", "\u0000\u0001", "—"])(
  "%j holds nothing to say, and that is told",
  (text) => {
    expect(refusal(text)).toMatchObject({ code: "text_empty", errors: [{ path: "input" }] });
  },
);

test("hostile texts of 64 kB are prepared piece by piece: every pattern is linear", () => {
  // Each of these took a pattern that goes back and forth tens of seconds; the test's own time limit ends that.
  const parts = [
    "a",
    "1",
    ".",
    "a.",
    "$",
    "-",
    " ",
    "1,",
    "A ",
    "a@",
    "1/",
    "www.",
    "'",
    "\n ,",
    "\u0301",
    "(5)",
    "!,",
    "a-1",
  ];
  for (const part of parts) {
    const pieces = splitSentences(normalizeText(part.repeat(65_536 / part.length)));
    for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(MAX_PIECE);
  }
});

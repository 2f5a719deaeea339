import { expect, test } from "vitest";
import { alignWords } from "../../../regions/speech/synthesis/phonemes/align-words.ts";
import { createPronouncer } from "../../../regions/speech/synthesis/phonemes/create-pronouncer.ts";
import { encodeWords } from "../../../regions/speech/synthesis/phonemes/encode-words.ts";
import {
  readPhones,
  type PronouncedWord,
} from "../../../regions/speech/synthesis/phonemes/pronounced-word.ts";

/** A word of `length` symbols, each of them “m”. */
const word = (length: number, mark = ""): PronouncedWord => ({
  text: "mmm",
  mark,
  phones: Array.from({ length }, () => ({ name: "m" })),
});
const SYMBOLS = new Map(Array.from(" m,.").map((symbol, id) => [symbol, [id]]));
const LIMIT = 20;

function encode(words: PronouncedWord[], symbols: ReadonlyMap<string, number[]> = SYMBOLS) {
  const { utterances, dropped } = encodeWords(words, "misaki", symbols, LIMIT);
  const read = utterances.map((ids) => ids.map((id) => " m,."[id]).join(""));
  return { read, dropped };
}

test("words have a space between them and their marks behind them", () => {
  expect(encode([word(2), word(3, ","), word(1, ".")])).toEqual({
    read: ["mm mmm, m."],
    dropped: 0,
  });
});

test("what is too long for one call is cut at its last pause that fits", () => {
  const words = [word(5, ","), word(5, ","), word(5), word(5), word(2, ".")];
  expect(encode(words).read).toEqual(["mmmmm, mmmmm,", "mmmmm mmmmm mm."]);
});

test("a pause that leaves a stump is passed over for a break between words", () => {
  expect(encode([word(1, ","), word(8), word(7), word(8)]).read).toEqual([
    "m, mmmmmmmm mmmmmmm",
    "mmmmmmmm",
  ]);
});

test("a word that is too long by itself is cut, and nothing of it is lost", () => {
  const { read } = encode([word(3), word(47, "."), word(4)]);
  expect(read.every(({ length }) => length <= LIMIT && length > 0)).toBe(true);
  expect(read.join("").replaceAll(/[^m]/g, "").length).toBe(54);
});

test("exactly as many symbols as there may be are one call; one more are two", () => {
  expect(encode([word(19, ".")]).read.length).toBe(1);
  expect(encode([word(18), word(1)]).read.length).toBe(1);
  expect(encode([word(18), word(2)]).read.length).toBe(2);
});

test("symbols that a model lacks are left out and counted, and a word of none of its symbols takes no space", () => {
  const bare = new Map([
    [" ", [0]],
    ["m", [1]],
  ]);
  expect(encode([word(2, ","), word(0, "."), word(3)], bare)).toEqual({
    read: ["mm mmm"],
    dropped: 2,
  });
  expect(encode([word(4)], new Map())).toEqual({ read: [], dropped: 4 });
});

test("phones are read in the groups between pauses", () => {
  expect(readPhones("pau hh ax0 l ow1 pau w er1 pau pau \n")).toEqual([
    [
      { name: "hh" },
      { name: "ax", stressed: false },
      { name: "l" },
      { name: "ow", stressed: true },
    ],
    [{ name: "w" }, { name: "er", stressed: true }],
  ]);
});

test.each([
  ["the same", "dh ax0 k ae1 t", ["dh ax0", "k ae1 t"], ["dh ax", "k ae t"]],
  ["with other vowels", "dh iy0 ae1 p ax0", ["dh ax0", "ae1 p ax0"], ["dh iy", "ae p ax"]],
  ["with one phone more", "k ae1 t s s iy1", ["k ae1 t", "s iy1"], ["k ae t s", "s iy"]],
  ["with one phone less", "n d ax0 k", ["ae1 n d", "ax0 k"], ["n d", "ax k"]],
  ["with a word swallowed", "k ae1 t", ["k ae1 t", "ax0"], ["k ae t", "ax"]],
])("a row that is %s as its words alone is parted among them", (_, row, alone, parted) => {
  const words = alignWords(
    readPhones(row)[0]!,
    alone.map((phones) => readPhones(phones)[0]!),
  );
  expect(words.map((phones) => phones.map(({ name }) => name).join(" "))).toEqual(parted);
});

test("words that flite does not part are asked for one by one", async () => {
  const printed: Record<string, string> = {
    "a cat.": "pau ax0 k ae1 t pau",
    "a, cat": "pau ey1 k ae1 t pau",
    a: "pau ey1 pau",
    cat: "pau k ae1 pau t pau",
  };
  const flite = {
    run: ({ text }: { text: string }) => Promise.resolve(printed[text] as never),
    close: () => Promise.resolve(),
  };
  const words = await createPronouncer(flite)("a cat.");
  expect(words.map(({ text, phones, mark }) => [text, phones.length, mark])).toEqual([
    ["a", 1, ""],
    ["cat", 3, "."],
  ]);
});

import type { Phone } from "./pronounced-word.ts";

const GAP = 2;

/** Vowels often change with what is around them, and never into consonants. */
function difference(a: Phone, b: Phone): number {
  if (a.name === b.name) return 0;
  const vowels = Number(a.stressed !== undefined) + Number(b.stressed !== undefined);
  return vowels === 1 ? 2 * GAP : vowels === 2 ? 1 : 2;
}

/**
 * Finds the words in a row of phones that has no marks between them, by the phones of each word when it is said by itself:
 * the cheapest alignment of the two (Levenshtein's distance).
 * @param alone per word
 * @returns the phones of `row` per word; a word that lost all of its phones has those that it has alone
 */
export function alignWords(row: readonly Phone[], alone: readonly (readonly Phone[])[]): Phone[][] {
  const said = alone.flat();
  const wordOf = alone.flatMap((phones, word) => phones.map(() => word));
  const width = said.length + 1;
  const cost = new Uint16Array((row.length + 1) * width);
  for (let j = 1; j < width; j += 1) cost[j] = j * GAP;
  for (let i = 1; i <= row.length; i += 1) {
    cost[i * width] = i * GAP;
    for (let j = 1; j < width; j += 1) {
      const at = i * width + j;
      const pair = cost[at - width - 1]! + difference(row[i - 1]!, said[j - 1]!);
      cost[at] = Math.min(pair, cost[at - width]! + GAP, cost[at - 1]! + GAP);
    }
  }
  const words: Phone[][] = alone.map(() => []);
  let j = said.length;
  for (let i = row.length; i > 0;) {
    const at = i * width + j;
    const phone = row[i - 1]!;
    if (j > 0 && cost[at] === cost[at - width - 1]! + difference(phone, said[j - 1]!)) {
      words[wordOf[j - 1]!]!.unshift(phone);
      i -= 1;
      j -= 1;
    } else if (cost[at] === cost[at - width]! + GAP) {
      // One more than the word has alone belongs to the word before it.
      words[wordOf[Math.max(0, j - 1)]!]!.unshift(phone);
      i -= 1;
    } else {
      j -= 1;
    }
  }
  return words.map((phones, word) => (phones.length > 0 ? phones : [...alone[word]!]));
}

import type { TranscriptWord } from "../../../../shared/contracts/analysis-result.ts";

/** Languages that put no spaces between words. */
const unspaced = new Set(["zh", "yue", "ja", "th", "lo", "my", "km", "bo"]);

/**
 * The words of a text whose start and end are known, each given time by how many characters it has. An estimate: within a
 * segment of a few seconds a word may be off by half a second.
 */
export function spreadWords(
  text: string,
  language: string | undefined,
  startS: number,
  endS: number,
): TranscriptWord[] {
  const words = wordsOf(text, language);
  const total = words.reduce((sum, word) => sum + word.length, 0);
  let before = 0;
  return words.map((word) => {
    const start_s = at(before);
    before += word.length;
    return { word, start_s, end_s: at(before) };
  });

  function at(characters: number): number {
    return Math.round((startS + ((endS - startS) * characters) / total) * 100) / 100;
  }
}

/** Punctuation stays with the word before it. */
function wordsOf(text: string, language: string | undefined): string[] {
  const spaced = text.split(/\s+/).filter((word) => word !== "");
  if (language === undefined || !unspaced.has(language)) return spaced;
  const segmenter = new Intl.Segmenter(language, { granularity: "word" });
  return spaced.flatMap((part) => {
    const words: string[] = [];
    for (const { segment, isWordLike } of segmenter.segment(part)) {
      if (isWordLike === true || words.length === 0) words.push(segment);
      else words.push(words.pop()! + segment);
    }
    return words;
  });
}

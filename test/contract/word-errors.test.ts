import { expect, test } from "vitest";
import { countWordErrors, normaliseWords } from "../../scripts/eval/count-word-errors.ts";

test.each([
  ["the same words", "Press one, please.", "press ONE please", 0],
  ["a word too many", "press one", "press the one", 1],
  ["a word too few", "press one please", "press please", 1],
  ["another word", "press one", "dress one", 1],
  ["nothing heard", "press one", "", 2],
  ["words where there were none", "", "press one", 2],
  ["everything moved by one", "a b c d", "b c d a", 2],
  ["apostrophes of any kind", "I’m here", "i'm here", 0],
  ["quotes, which are no part of a word", "say 'no'", "say no", 0],
])("word errors of %s", (_, reference, heard, errors) => {
  expect(countWordErrors(normaliseWords(reference), normaliseWords(heard))).toBe(errors);
});

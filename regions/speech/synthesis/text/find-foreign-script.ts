const LETTER = /[\p{L}\p{Nl}]/u;
const LATIN = /\p{Script=Latin}/u;
const SCRIPTS = [
  "Cyrillic",
  "Greek",
  "Han",
  "Hiragana",
  "Katakana",
  "Hangul",
  "Arabic",
  "Hebrew",
  "Devanagari",
  "Bengali",
  "Tamil",
  "Telugu",
  "Thai",
  "Georgian",
  "Armenian",
  "Ethiopic",
].map((name) => ({ name, letters: new RegExp(`\\p{Script=${name}}`, "u") }));

/** The name of the first script other than Latin that `text` has letters of. */
export function findForeignScript(text: string): string | undefined {
  for (const [letter] of text.matchAll(/\P{ASCII}/gu)) {
    if (LETTER.test(letter) && !LATIN.test(letter)) {
      return SCRIPTS.find(({ letters }) => letters.test(letter))?.name ?? "another script";
    }
  }
  return undefined;
}

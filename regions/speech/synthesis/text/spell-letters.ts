/** Letters one by one. An “a” by itself would be read as the article, so it is written as its name sounds. */
export const spellLetters = (letters: string): string =>
  Array.from(letters.toLowerCase(), (letter) => (letter === "a" ? "ay" : letter)).join(" ");

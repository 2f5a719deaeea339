import { endsSentence } from "./ends-sentence.ts";
import { spellLetters } from "./spell-letters.ts";
import { ABBREVIATIONS, SAID_AS_WORDS, TITLES } from "./word-tables.ts";

const TITLE = new RegExp(`\\b(${Object.keys(TITLES).join("|")})\\.(?= ?[A-Z])`, "g");
const ADDRESS = /\b(Mr|Mrs|Ms|Prof)\.(?= and | or |,)/g;
const TITLE_BARE = /\b(Dr|Mr|Mrs|Ms|Prof)(?= [A-Z][a-z])/g;
const SHORT = new RegExp(`\\b(${Object.keys(ABBREVIATIONS).join("|")})\\.`, "g");
const DOTTED = /\b((?:[A-Za-z]\.){2,8})(?!\w)/g;

/** Abbreviations in full. A full stop stays where it also ends the sentence. */
export function sayAbbreviations(text: string): string {
  return (
    text
      .replaceAll(/\b(?:e\.g\.|eg\.),?/gi, "for example,")
      .replaceAll(/\b(?:i\.e\.|ie\.),?/gi, "that is,")
      .replaceAll(/\bw\/o\b/g, "without")
      .replaceAll(/\bw\/(?= ?\w)/g, "with ")
      .replaceAll(TITLE, (_, title: string) => TITLES[title]!)
      .replaceAll(ADDRESS, (_, title: string) => TITLES[title]!)
      .replaceAll(TITLE_BARE, (_, title: string) => TITLES[title]!)
      .replaceAll(/\bNos?\.(?= ?\d)/gi, "number")
      // Street after a name or number, saint before a name.
      .replaceAll(
        /(?<=\b[A-Z\d][\w']{0,30} )St\.(?! [A-Z][a-z]+ (?:St|Ave|Rd)\b)/g,
        (all, at: number, whole: string) =>
          endsSentence(whole, at + all.length) ? "street." : "street",
      )
      .replaceAll(/\bSt\.? ?(?=[A-Z])/g, "saint ")
      .replaceAll(/\bvs\./g, "versus")
      // Parts of names: what follows in capitals goes on with the name.
      .replaceAll(
        /\b(Inc|Ltd|Co|Corp|Bros|Jr|Sr)\.(?= [A-Z])/g,
        (_, word: string) => ABBREVIATIONS[word]!,
      )
      .replaceAll(
        SHORT,
        (all, word: string, at: number, whole: string) =>
          ABBREVIATIONS[word]! + (endsSentence(whole, at + all.length) ? "." : ""),
      )
      .replaceAll(
        /\b([ap])\.m\./gi,
        (all, half: string, at: number, whole: string) =>
          `${spellLetters(`${half}m`)}${endsSentence(whole, at + all.length) ? "." : ""}`,
      )
      // Before a capital it is mostly the rest of a name (“U.S. Army”), so only at the end is it an end.
      .replaceAll(
        DOTTED,
        (all, letters: string, at: number, whole: string) =>
          `${spellLetters(letters.replaceAll(".", ""))}${/^\s*(\n|$)/.test(whole.slice(at + all.length, at + all.length + 4)) ? "." : ""}`,
      )
      // Initials: “J. Smith”.
      .replaceAll(/(?<![\w'])([B-HJ-Z])\.(?= [A-Z])/g, (_, letter: string) => spellLetters(letter))
  );
}

/** Capitals that are spelled: “FBI” → “f b i”; those that are words stay words. */
export function sayAcronyms(text: string): string {
  // Where everything is in capitals they mark nothing.
  const shouted = !/[a-z]/.test(text);
  return text.replaceAll(/\b([A-Z]{2,})(s|'s)?\b/g, (all, letters: string, ending = "") => {
    const vowels = /[AEIOUY]/.test(letters);
    if (SAID_AS_WORDS.has(letters) || (vowels && (shouted || letters.length > 4))) return all;
    return spellLetters(letters) + (ending === "" ? "" : "'s");
  });
}

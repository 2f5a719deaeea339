import { cleanText } from "./clean-text.ts";
import { sayAbbreviations, sayAcronyms } from "./say-abbreviations.ts";
import { sayAddress } from "./say-address.ts";
import { sayDates } from "./say-dates.ts";
import { sayNumbers } from "./say-numbers.ts";

const MAIL = /(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}(?<=\w)/g;
const WEB =
  /(?<![\w@])(?:https?:\/\/|www\.)[^\s<>"]+|(?<![\w.@-])(?:[a-z\d-]{1,63}\.){1,6}(?:com|org|net|io|dev|edu|gov|ai|eu|app|uk|de)\b(?:\/[^\s<>"]*)?/gi;

const SYMBOLS: [RegExp, string][] = [
  [/&/g, " and "],
  [/@/g, " at "],
  [/%/g, " percent "],
  [/#(?=[A-Za-z])/g, " hashtag "],
  [/(?<=\w) ?\+ ?(?=\w)/g, " plus "],
  [/\+/g, " plus "],
  [/(?<=\s)<=(?=\s)|≤/g, " less than or equal to "],
  [/(?<=\s)>=(?=\s)|≥/g, " greater than or equal to "],
  [/[=]+>|->|→/g, ", "],
  [/(?<=\s)<(?=\s)/g, " less than "],
  [/(?<=\s)>(?=\s)/g, " greater than "],
  [/≠/g, " is not equal to "],
  [/≈/g, " about "],
  [/=+/g, " equals "],
  [/×/g, " times "],
  [/÷/g, " divided by "],
  [/±/g, " plus or minus "],
  [/°/g, " degrees "],
  [/\band\/or\b/gi, "and or"],
  [/(?<=\w)\/(?=\w)/g, " slash "],
  [/ ?[()[\]{}] ?/g, ", "],
];

/**
 * English text as it is said: only lower-case words, and the marks `, . ; : ! ?` and new lines between them.
 * Numbers, dates, amounts, addresses, abbreviations and symbols are in words. What cannot be said is left out.
 * Time and memory grow with the length of the text alone.
 */
export function normalizeText(text: string): string {
  let said = cleanText(text)
    .replaceAll(MAIL, (address) => ` ${sayAddress(address)} `)
    .replaceAll(WEB, (found) => {
      // Marks behind it belong to the sentence.
      let length = found.length;
      while (length > 0 && ".,;:!?)']".includes(found[length - 1]!)) length -= 1;
      const address = found.slice(0, length).replace(/^https?:\/\//i, "");
      return ` ${sayAddress(address.replace(/\/$/, ""))}${found.slice(length)} `;
    });
  said = sayAcronyms(sayNumbers(sayAbbreviations(sayDates(said))));
  for (const [symbol, words] of SYMBOLS) said = said.replaceAll(symbol, words);
  return tidy(said);
}

/** Lower case, one mark at a time, no stray character. */
function tidy(text: string): string {
  return (
    text
      // “name.ext” is read; “end.Next” is two sentences.
      .replaceAll(/(?<=[a-z])\.(?=[a-z])/g, " dot ")
      .replaceAll(/[^A-Za-z' ,.;:!?\n]/g, " ")
      .replaceAll(/(?<![A-Za-z])'+|'+(?![A-Za-z])/g, " ")
      .replaceAll(/[ ,.;:!?\n]+/g, (marks, at: number, whole: string) => {
        const line = marks.includes("\n") ? "\n" : " ";
        const end = /[.!?]/.exec(marks)?.[0];
        // An ellipsis in mid-sentence is a pause.
        const pause = marks.includes("..") && /[a-z]/.test(whole[at + marks.length] ?? "");
        if (end !== undefined && !pause) return end + line;
        const mark = pause ? "," : (/[,;:]/.exec(marks)?.[0] ?? "");
        return line === "\n" ? line : mark + line;
      })
      .toLowerCase()
      .replaceAll(/^[^a-z]+|[ ,;:\n]+$/g, "")
  );
}

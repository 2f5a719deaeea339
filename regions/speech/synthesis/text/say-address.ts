import { cardinalWords, digitWords } from "./number-words.ts";
import { spellLetters } from "./spell-letters.ts";

const SIGNS: Record<string, string> = {
  ".": "dot",
  "/": "slash",
  "-": "dash",
  _: "underscore",
  ":": "colon",
  "?": "question mark",
  "=": "equals",
  "&": "and",
  "#": "hash",
  "%": "percent",
  "~": "tilde",
  "@": "at",
  "+": "plus",
};

/** Parts of addresses that are spelled although they are not in capitals. */
const SPELLED = /^(www|io|uk|ai|tv|api|html|php|pdf|ftp|us|eu|fm)$/;

/** A web or mail address as it is dictated: “example.com/a-b” → “example dot com slash a dash b”. */
export function sayAddress(address: string): string {
  const words = Array.from(address.toLowerCase().matchAll(/[a-z]+|\d+|[^a-z\d]/g), ([part]) => {
    if (/^\d/.test(part)) return part.length > 4 ? digitWords(part) : cardinalWords(part);
    if (SPELLED.test(part)) return spellLetters(part);
    return /^[a-z]/.test(part) ? part : (SIGNS[part] ?? "");
  });
  return words.filter((word) => word !== "").join(" ");
}

import type { Phone, PronouncedWord } from "./pronounced-word.ts";

/**
 * Two ways to write the same sounds in the International Phonetic Alphabet:
 * - `misaki`: what Kokoro was trained on. A diphthong is one capital letter, an affricate one ligature, no vowel is long.
 * - `espeak`: what Piper's voices were trained on, as espeak-ng writes American English.
 */
export type IpaStyle = "misaki" | "espeak";

/** Before the vowel of the syllable, in both. */
const PRIMARY = "ˈ";
const SECONDARY = "ˌ";

const CONSONANTS: Record<string, string> = {
  b: "b",
  d: "d",
  dh: "ð",
  f: "f",
  g: "ɡ",
  hh: "h",
  k: "k",
  l: "l",
  m: "m",
  n: "n",
  ng: "ŋ",
  p: "p",
  r: "ɹ",
  s: "s",
  sh: "ʃ",
  t: "t",
  th: "θ",
  v: "v",
  w: "w",
  y: "j",
  z: "z",
  zh: "ʒ",
};

/** Those that are the same whether they are stressed or not. */
const VOWELS: Record<string, string> = { ae: "æ", ax: "ə", eh: "ɛ", ih: "ɪ", uh: "ʊ" };

const STYLES: Record<IpaStyle, { shared: Record<string, string>; weak: Record<string, string> }> = {
  misaki: {
    shared: {
      ...CONSONANTS,
      ...VOWELS,
      ch: "ʧ",
      jh: "ʤ",
      aa: "ɑ",
      ah: "ʌ",
      ao: "ɔ",
      aw: "W",
      ay: "I",
      er: "ɜɹ",
      ey: "A",
      iy: "i",
      ow: "O",
      oy: "Y",
      uw: "u",
    },
    weak: { ah: "ə", er: "əɹ" },
  },
  espeak: {
    shared: {
      ...CONSONANTS,
      ...VOWELS,
      ch: "tʃ",
      jh: "dʒ",
      aa: "ɑː",
      ah: "ʌ",
      ao: "ɔː",
      aw: "aʊ",
      ay: "aɪ",
      er: "ɜː",
      ey: "eɪ",
      iy: "iː",
      ow: "oʊ",
      oy: "ɔɪ",
      uw: "uː",
    },
    weak: { ah: "ə", er: "ɚ", iy: "i" },
  },
};

/** An American t between vowels, the second of them unstressed, as in “water”. */
const FLAP = "ɾ";

/** Words of one syllable that carry no stress in a sentence, though the lexicon stresses them. */
const UNSTRESSED: ReadonlySet<string> = new Set(
  (
    "a an the and or but nor as at by for from in into of off on onto per than to up via with " +
    "am is are was were be been has have had do does did can could will would shall should may might must " +
    "i me my he him his she her it its we us our you your they them their who that this these those there if so"
  ).split(" "),
);

/** Misaki's small vowel before a last l or n, as in “muzzle”, “muffin” and “movement”. */
const SYLLABIC: [RegExp, string][] = [
  [/(?<=[bdfɡklmnpstvzɹθðɾ])əl$/, "ᵊl"],
  [/(?<=[bdfɡklmpstvzθðɾ])ən(?=t?s?$)/, "ᵊn"],
];

/** How a word is written, without its mark; a phone that is unknown is left out. */
export function spellIpa(word: PronouncedWord, style: IpaStyle): string {
  const { phones } = word;
  const { shared, weak } = STYLES[style];
  const primary = UNSTRESSED.has(word.text) ? undefined : findPrimary(phones);
  const spelled = phones
    .map(({ name, stressed }, i) => {
      if (isFlap(phones, i)) return FLAP;
      const symbol = (stressed === false ? weak[name] : undefined) ?? shared[name] ?? "";
      if (stressed !== true || primary === undefined) return symbol;
      return (i === primary ? PRIMARY : SECONDARY) + symbol;
    })
    .join("");
  if (style !== "misaki") return spelled;
  return SYLLABIC.reduce((text, [pattern, small]) => text.replace(pattern, small), spelled);
}

/**
 * Which phone bears the primary stress: flite does not tell it from the secondary. It is the last stressed vowel
 * (“multiplication”), unless that is the word's last vowel (“multitude”) or comes right after a stressed one (“mulberry”);
 * then it is the one before.
 */
function findPrimary(phones: readonly Phone[]): number | undefined {
  const vowels = phones.flatMap(({ stressed }, i) => (stressed === undefined ? [] : [i]));
  const stressed = vowels.filter((i) => phones[i]!.stressed === true);
  const last = stressed.at(-1);
  const before = stressed.at(-2);
  if (last === undefined || before === undefined) return last;
  const isAtEnd = last === vowels.at(-1);
  const isAdjacent = vowels.indexOf(last) === vowels.indexOf(before) + 1;
  return isAtEnd || isAdjacent ? before : last;
}

/** A t between vowels, or after r, before a vowel that is not stressed; but not before a syllabic n, as in “mutant”. */
function isFlap(phones: readonly Phone[], i: number): boolean {
  const before = phones[i - 1];
  const after = phones[i + 1];
  return (
    phones[i]!.name === "t" &&
    (before?.stressed !== undefined || before?.name === "r") &&
    after?.stressed === false &&
    !(after.name === "ax" && phones[i + 2]?.name === "n")
  );
}

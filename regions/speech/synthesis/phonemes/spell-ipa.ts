import type { PronouncedWord } from "./pronounced-word.ts";

/**
 * Two ways to write the same sounds in the International Phonetic Alphabet:
 * - `misaki`: what Kokoro was trained on. A diphthong is one capital letter, an affricate one ligature, no vowel is long.
 * - `espeak`: what Piper's voices were trained on, as espeak-ng writes American English.
 */
export type IpaStyle = "misaki" | "espeak";

/** Before the stressed vowel, in both. */
const STRESS = "ˈ";

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

/** How a word is written, without its mark; a phone that is unknown is left out. */
export function spellIpa({ text, phones }: PronouncedWord, style: IpaStyle): string {
  const { shared, weak } = STYLES[style];
  const isWeakWord = UNSTRESSED.has(text);
  return phones
    .map(({ name, stressed }, i) => {
      const before = phones[i - 1];
      const after = phones[i + 1];
      const isFlap =
        name === "t" &&
        (before?.stressed !== undefined || before?.name === "r") &&
        after?.stressed === false;
      if (isFlap) return FLAP;
      const symbol = (stressed === false ? weak[name] : undefined) ?? shared[name] ?? "";
      return stressed === true && !isWeakWord ? STRESS + symbol : symbol;
    })
    .join("");
}

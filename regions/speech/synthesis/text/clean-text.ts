/** What is said of symbols that compatibility folding would turn into something else. */
const BEFORE_FOLDING: Record<string, string> = {
  "½": " 1/2",
  "¼": " 1/4",
  "¾": " 3/4",
  "⅓": " 1/3",
  "⅔": " 2/3",
  "²": " squared ",
  "³": " cubed ",
  "™": " ",
  "®": " ",
  "©": " copyright ",
  "℃": "°C",
  "℉": "°F",
  "№": " number ",
  "…": "... ",
  µ: "μ",
};

/** Greek letters that English texts use as symbols; a word of them is another matter. */
const GREEK_NAMES: Record<string, string> = {
  α: "alpha",
  β: "beta",
  γ: "gamma",
  δ: "delta",
  Δ: "delta",
  ε: "epsilon",
  θ: "theta",
  λ: "lambda",
  π: "pi",
  ρ: "rho",
  σ: "sigma",
  Σ: "sigma",
  τ: "tau",
  φ: "phi",
  χ: "chi",
  ψ: "psi",
  ω: "omega",
  Ω: "ohms",
};

/** Latin letters that do not decompose into a base and a mark. */
const LATIN: Record<string, string> = {
  ß: "ss",
  æ: "ae",
  Æ: "Ae",
  ø: "o",
  Ø: "O",
  œ: "oe",
  Œ: "Oe",
  ł: "l",
  Ł: "L",
  đ: "d",
  Đ: "D",
  þ: "th",
  Þ: "Th",
  ð: "th",
  Ð: "Th",
  ı: "i",
  ŋ: "ng",
  ħ: "h",
};

/** Units of which a millionth is written with the Greek letter. */
const MICRO_UNITS: Record<string, string> = {
  s: "seconds",
  m: "meters",
  g: "grams",
  l: "liters",
  F: "farads",
  V: "volts",
  A: "amperes",
  W: "watts",
};
const MICRO = /μ([smglFVAW])\b/gu;

const pattern = (table: Record<string, string>) =>
  new RegExp(`[${Object.keys(table).join("")}]`, "gu");
const BEFORE = pattern(BEFORE_FOLDING);
const GREEK = new RegExp(
  `(?<!\\p{Script=Greek})(?:${pattern(GREEK_NAMES).source})(?!\\p{Script=Greek})`,
  "gu",
);
const LATIN_LETTERS = pattern(LATIN);

/**
 * Text as one plain spelling: control and invisible characters gone, compatibility forms folded (full-width digits,
 * ligatures), quotes and dashes in ASCII, Latin letters without their marks. Lines stay lines. Letters of other scripts
 * stay too, for whoever must refuse them.
 */
export function cleanText(text: string): string {
  return (
    text
      .replaceAll(BEFORE, (symbol) => BEFORE_FOLDING[symbol]!)
      .replaceAll(MICRO, (_, unit: string) => ` micro${MICRO_UNITS[unit]} `)
      .normalize("NFKC")
      .replaceAll(/\r\n?|[\u2028\u2029\u0085\v\f]/g, "\n")
      .replaceAll(/[\t\p{Zs}]/gu, " ")
      .replaceAll(/(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}]/gu, "")
      .replaceAll(/[‘’ʼ‛`´]/g, "'")
      .replaceAll(/[“”„‟«»]/g, '"')
      .replaceAll(/[‐‑‒−]/g, "-")
      .replaceAll(/(?<=\d) ?– ?(?=\d)/g, "-")
      .replaceAll(/ ?[–—―] ?|(?<=\s)--(?=\s)/g, ", ")
      .replaceAll(GREEK, (letter) => ` ${GREEK_NAMES[letter]} `)
      .replaceAll(LATIN_LETTERS, (letter) => LATIN[letter]!)
      .normalize("NFD")
      // Only what sits on Latin: elsewhere a mark may be half of a letter.
      .replaceAll(/(?<=\p{Script=Latin}\p{Mn}{0,8})\p{Mn}/gu, "")
      .normalize("NFC")
  );
}

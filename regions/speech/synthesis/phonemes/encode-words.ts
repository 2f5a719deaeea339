import type { PronouncedWord } from "./pronounced-word.ts";
import { spellIpa, type IpaStyle } from "./spell-ipa.ts";

/** What a model calls each symbol; a symbol may be several numbers. */
export type SymbolIds = ReadonlyMap<string, readonly number[]>;

export interface EncodedWords {
  /** The symbols of each call of the model, in order: `limit` at most, and none empty. */
  utterances: number[][];
  /** Symbols that the model does not know, and that were left out. */
  dropped: number;
}

interface Part {
  ids: number[];
  /** A pause follows. */
  isEnd: boolean;
}

/**
 * Words as a model's symbols, with a space between them and their marks behind them. What is longer than `limit` is cut at a
 * pause; where there is none, between words; and within a word that is too long by itself.
 */
export function encodeWords(
  words: readonly PronouncedWord[],
  style: IpaStyle,
  symbols: SymbolIds,
  limit: number,
): EncodedWords {
  let dropped = 0;

  function idsOf(text: string): number[] {
    return Array.from(text).flatMap((symbol) => {
      const ids = symbols.get(symbol);
      if (ids === undefined) dropped += 1;
      return ids ?? [];
    });
  }

  const parts = words.flatMap((word): Part[] => {
    const ids = idsOf(spellIpa(word, style) + word.mark);
    const whole = { ids, isEnd: word.mark !== "" };
    if (ids.length <= limit) return ids.length === 0 ? [] : [whole];
    return Array.from({ length: Math.ceil(ids.length / limit) }, (_, i) => ({
      ids: ids.slice(i * limit, (i + 1) * limit),
      isEnd: false,
    }));
  });
  const space = symbols.get(" ") ?? [];

  const utterances: number[][] = [];
  let from = 0;
  while (from < parts.length) {
    let length = -space.length;
    let fits = from;
    let pause = from;
    let lengthAtPause = 0;
    for (; fits < parts.length; fits += 1) {
      length += space.length + parts[fits]!.ids.length;
      if (length > limit) break;
      if (parts[fits]!.isEnd) {
        pause = fits + 1;
        lengthAtPause = length;
      }
    }
    // A pause that leaves a stump is worse than a break between words.
    const to = fits < parts.length && lengthAtPause > limit / 4 ? pause : fits;
    utterances.push(
      parts.slice(from, to).flatMap(({ ids }, i) => (i === 0 ? ids : [...space, ...ids])),
    );
    from = to;
  }
  return { utterances, dropped };
}

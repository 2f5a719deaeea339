import type { FliteThreads } from "../flite/create-flite-threads.ts";
import { alignWords } from "./align-words.ts";
import { readPhones, type Phone, type PronouncedWord } from "./pronounced-word.ts";

/** How normalised English text is pronounced; see `FliteThreads.run` for what it throws. */
export type Pronounce = (text: string, signal?: AbortSignal) => Promise<PronouncedWord[]>;

/**
 * Pronunciation by flite's lexicon and letter-to-sound rules (American English), without its voices.
 *
 * flite prints the phones of a text in one row, where “a” and “the” sound as the words around them ask for, and homographs
 * as the sentence does. So that words can be told apart, it is asked again with a pause behind each word, and the two are
 * aligned.
 */
export function createPronouncer(flite: FliteThreads): Pronounce {
  const print = async (text: string, signal?: AbortSignal) =>
    readPhones(await flite.run({ type: "phones", text }, signal));

  async function alone(words: string[], signal?: AbortSignal): Promise<Phone[][]> {
    const groups = await print(words.join(", "), signal);
    if (groups.length === words.length) return groups;
    // A pause too many or too few: each by itself, then.
    return Promise.all(words.map(async (word) => (await print(word, signal)).flat()));
  }

  return async (text, signal) => {
    const found = [...text.matchAll(/([a-z][a-z']*)[^a-z,.;:!?]*([,.;:!?]?)/g)];
    const words = found.map(([, word]) => word!);
    if (words.length === 0) return [];
    const [row, each] = await Promise.all([print(text, signal), alone(words, signal)]);
    const phones = alignWords(row.flat(), each);
    return found.map(([, word, mark], i) => ({ text: word!, mark: mark!, phones: phones[i]! }));
  };
}

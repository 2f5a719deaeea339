import type { Transcript, TranscriptWord } from "../contracts/analysis-result.ts";

/** What is shown at once, from one moment to another. */
export interface Cue {
  start_s: number;
  end_s: number;
  /** One line, or two. */
  lines: string[];
}

const LINE_CHARS = 42;
const CUE_CHARS = 2 * LINE_CHARS;
const CUE_S = 6;
/** A pause from which what follows is a cue of its own. */
const PAUSE_S = 0.8;
/** Nothing is shown more briefly where there is room. */
const LEAST_S = 0.8;

/**
 * Subtitles of a transcript: two lines of 42 characters at most (unless one word is longer) and 6 s, apart where somebody
 * pauses, ordered and not overlapping. Without words, each segment is a cue.
 */
export function toCues({ words, segments }: Transcript): Cue[] {
  const groups =
    words === undefined
      ? segments.map(({ start_s, end_s, text }) => ({ start_s, end_s, texts: clean(text) }))
      : group(words);
  return groups
    .filter(({ texts }) => texts.length > 0)
    .map(({ start_s, end_s, texts }, i, all) => {
      const next = all[i + 1]?.start_s ?? Number.POSITIVE_INFINITY;
      const shown_s = Math.max(end_s, start_s + LEAST_S);
      return { start_s, end_s: Math.max(start_s, Math.min(shown_s, next)), lines: wrap(texts) };
    });
}

interface Group {
  start_s: number;
  end_s: number;
  texts: string[];
}

function group(words: readonly TranscriptWord[]): Group[] {
  const groups: Group[] = [];
  for (const { word, start_s, end_s } of words) {
    const texts = clean(word);
    const last = groups.at(-1);
    const fits =
      last !== undefined &&
      start_s - last.end_s < PAUSE_S &&
      end_s - last.start_s <= CUE_S &&
      [...last.texts, ...texts].join(" ").length <= CUE_CHARS &&
      wrap([...last.texts, ...texts]).every((line) => line.length <= LINE_CHARS);
    if (fits) {
      last.texts.push(...texts);
      last.end_s = Math.max(last.end_s, end_s);
    } else groups.push({ start_s, end_s, texts });
  }
  return groups;
}

/** No line break of a text may end a cue before its time. */
function clean(text: string): string[] {
  return text.split(/[\s\p{Cc}]+/u).filter((part) => part !== "");
}

/** One line where it fits, else two, as even as can be. */
function wrap(texts: readonly string[]): string[] {
  const whole = texts.join(" ");
  if (whole.length <= LINE_CHARS || texts.length === 1) return [whole];
  const splits = texts.slice(1).map((_, i) => {
    const lines = [texts.slice(0, i + 1).join(" "), texts.slice(i + 1).join(" ")];
    return { lines, longest: Math.max(...lines.map(({ length }) => length)) };
  });
  return splits.reduce((best, split) => (split.longest < best.longest ? split : best)).lines;
}

/**
 * Characters of one piece at most: about fifteen seconds of speech, which bounds what one run of an engine takes, and how
 * long a listener waits for it.
 */
export const MAX_PIECE = 200;

/**
 * Normalised text in the pieces that are synthesised one by one: sentences; of a sentence that is too long, its clauses;
 * of those its words; and of a word without end, what fits.
 */
export function splitSentences(normalized: string, maxPiece = MAX_PIECE): string[] {
  const sentences = normalized.split(/(?<=[.!?])\s+|\n+/).map((sentence) => sentence.trim());
  return sentences.filter((sentence) => /[a-z]/.test(sentence)).flatMap((s) => cut(s, maxPiece));
}

function cut(sentence: string, maxPiece: number): string[] {
  const pieces: string[] = [];
  let from = 0;
  while (sentence.length - from > maxPiece) {
    const window = sentence.slice(from, from + maxPiece);
    const clause = Math.max(...[", ", "; ", ": "].map((mark) => window.lastIndexOf(mark)));
    const word = window.lastIndexOf(" ");
    // A clause that leaves a stump is worse than a break between words.
    const at = clause > maxPiece / 4 ? clause + 1 : word > 0 ? word : maxPiece;
    pieces.push(window.slice(0, at).trim());
    from += at;
  }
  pieces.push(sentence.slice(from).trim());
  return pieces.filter((piece) => /[a-z]/.test(piece));
}

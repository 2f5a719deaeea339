/** What PocketSphinx understood of one utterance; times in seconds from the utterance's start. */
export interface PocketsphinxAnswer {
  id: string;
  words: { word: string; start_s: number; length_s: number; confidence: number }[];
}

/**
 * Reads what `pocketsphinx_batch -hyp … -ctm …` writes to one pipe: for each utterance a line with its text and, in
 * brackets, its id; then a line for each word: id, channel, start, length, word, confidence. The text's line comes first,
 * so an utterance is complete when the next one's does, or at the end.
 */
export function createAnswerReader(onAnswer: (answer: PocketsphinxAnswer) => void) {
  let rest = "";
  let answer: PocketsphinxAnswer | undefined;

  function end(): void {
    if (answer !== undefined) onAnswer(answer);
    answer = undefined;
  }

  function readLine(line: string): void {
    const text = /^.*\((\S+) -?\d+\)$/.exec(line);
    if (text !== null) {
      end();
      answer = { id: text[1]!, words: [] };
      return;
    }
    const [id, channel, start, length, word, confidence, ...more] = line.split(" ");
    const spoken = {
      word: word ?? "",
      start_s: Number(start),
      length_s: Number(length),
      confidence: Math.max(0, Math.min(1, Number(confidence))),
    };
    const whole =
      answer !== undefined &&
      id === answer.id &&
      channel === "1" &&
      spoken.word !== "" &&
      more.length === 0;
    if (!whole || !Object.values(spoken).every((value) => !Number.isNaN(value))) {
      throw new SyntaxError("PocketSphinx wrote what is not in its format.");
    }
    answer!.words.push(spoken);
  }

  return {
    /** @throws {SyntaxError} */
    push(text: string): void {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) readLine(line);
    },
    /** The output is over; half a line is dropped. */
    end,
  };
}

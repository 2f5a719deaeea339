import { highest, logSumExp } from "../neural/logits.ts";
import type { WhisperModel } from "./whisper-model.ts";

type RuledModel = Pick<
  WhisperModel,
  "tokens" | "suppress" | "suppressAtBegin" | "maxInitialTime" | "vocabulary"
>;

/**
 * Forbids, in the logits of the next token, what may not come: symbols that the model's makers exclude, an empty answer, and,
 * with timestamps, whatever would not make pairs of times that never go back (Radford et al., 2022, and the rules of the
 * published implementations). A forbidden token gets -Infinity.
 *
 * @param said what came after the prompt so far
 */
export function applyTokenRules(
  logits: Float32Array,
  said: readonly number[],
  { tokens, suppress, suppressAtBegin, maxInitialTime, vocabulary }: RuledModel,
  timestamps: boolean,
): void {
  if (said.length === 0) forbid(logits, suppressAtBegin);
  forbid(logits, suppress);
  if (!timestamps) return;
  const { firstTime, end } = tokens;
  logits[tokens.noTimestamps] = -Infinity;

  const lastIsTime = said.length > 0 && said.at(-1)! >= firstTime;
  const lastPairIsTime = said.length < 2 || said.at(-2)! >= firstTime;
  if (lastIsTime) {
    // Two times end one segment and begin the next: text has to follow. One that ends a segment is not left alone.
    if (lastPairIsTime) logits.fill(-Infinity, firstTime);
    else logits.fill(-Infinity, 0, end);
  }
  const latest = said.findLast((token) => token >= firstTime);
  if (latest !== undefined) {
    // The next segment may begin where the last one ended; no segment may end where it began.
    logits.fill(-Infinity, firstTime, lastIsTime && !lastPairIsTime ? latest : latest + 1);
  }
  if (said.length === 0) {
    logits.fill(-Infinity, 0, firstTime);
    if (maxInitialTime !== undefined) logits.fill(-Infinity, firstTime + maxInitialTime + 1);
  }
  // If all times together are likelier than any one text token, it is a time.
  if (logSumExp(logits, firstTime, vocabulary) > highest(logits, 0, firstTime)) {
    logits.fill(-Infinity, 0, firstTime);
  }
}

function forbid(logits: Float32Array, tokens: readonly number[]): void {
  for (const token of tokens) logits[token] = -Infinity;
}

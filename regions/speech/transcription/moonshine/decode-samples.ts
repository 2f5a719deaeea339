import { likeliest, logSumExp, rowOf } from "../neural/logits.ts";
import type { MoonshineRuntime } from "./create-onnx-runtime.ts";
import type { MoonshineModel } from "./moonshine-model.ts";
import { paddedLength, tokenLimit } from "./pad-window.ts";

/** One window of a batch. */
export interface SamplesToDecode {
  /** At 16 kHz. */
  samples: Float32Array;
  /** Once it is aborted the row leaves the batch at the next token; its answer is undefined. */
  signal?: AbortSignal | undefined;
}

export interface DecodedSamples {
  /** Without the end token. */
  tokens: number[];
  /** Whether the model came to an end by itself. */
  ended: boolean;
  /** Mean natural logarithm of the probability of each token, the end among them. */
  averageLogprob: number;
}

/**
 * The likeliest tokens for a batch of windows, all rows in step. Rows that are done leave the batch when half of it is. What a
 * row says does not depend on the others.
 *
 * @param length of every window with what is added to it, samples
 * @throws {RangeError} a window that is of another length then
 */
export async function decodeSamples(
  runtime: MoonshineRuntime,
  model: MoonshineModel,
  windows: readonly SamplesToDecode[],
  length: number,
): Promise<(DecodedSamples | undefined)[]> {
  const padded = new Float32Array(windows.length * length);
  for (const [i, { samples }] of windows.entries()) {
    if (paddedLength(samples.length) > length) {
      throw new RangeError(`A window of ${samples.length} samples does not fit into ${length}.`);
    }
    padded.set(samples, i * length);
  }
  const { tokens, vocabulary } = model;
  const limit = tokenLimit(length, model.maxTokens);
  const said = windows.map((): number[] => []);
  const logprobs = windows.map(() => 0);
  const ended = windows.map(() => false);
  const isGone = (i: number): boolean => windows[i]!.signal?.aborted === true;
  /** Rows that are in the batch, by their place in it. */
  let active = windows.map((_, i) => i);
  let state = await runtime.encode(padded, windows.length);
  for (let step = 0; step < limit; step += 1) {
    const open = active.filter((i) => ended[i] === false && !isGone(i));
    if (open.length === 0) break;
    if (open.length <= active.length / 2) {
      state = runtime.select(
        state,
        open.map((i) => active.indexOf(i)),
      );
      active = open;
    }
    const next = active.map((i) => {
      const own = said[i]!;
      if (ended[i] === true) return tokens.end;
      return own.length === 0 ? tokens.start : own.at(-1)!;
    });
    const made = await runtime.step(state, next);
    state = made.state;
    for (const [place, i] of active.entries()) {
      if (ended[i] === true || isGone(i)) continue;
      const logits = rowOf(made.logits, place, vocabulary);
      const token = likeliest(logits);
      logprobs[i]! += logits[token]! - logSumExp(logits);
      if (token === tokens.end) ended[i] = true;
      else said[i]!.push(token);
    }
  }
  return windows.map((_, i) => {
    if (isGone(i)) return undefined;
    const own = said[i]!;
    return {
      tokens: own,
      ended: ended[i]!,
      averageLogprob: logprobs[i]! / (own.length + 1),
    };
  });
}

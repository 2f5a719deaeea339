/** Rows of a batch that were encoded and perhaps fed some tokens. What it holds is the runtime's own affair. */
export interface WhisperState {
  readonly rows: number;
}

/**
 * What runs a Whisper model's two graphs, for a batch of windows at a time. The decoding loop lies above it and knows no
 * tensors, so whoever owns the sessions can own this.
 */
export interface WhisperRuntime {
  /** @param features `rows` windows one behind the other, each `bands` rows of 3000 frames */
  encode(features: Float32Array, rows: number): Promise<WhisperState>;
  /**
   * Feeds the next tokens to every row: the prompt at first (any number for each, all the same number), then one each.
   *
   * @param tokens row by row, `tokens.length / state.rows` each
   * @returns the state after them, and the logits at each of them: row by row, position by position, a vocabulary each.
   * The caller may write into the logits. The state that was given is of no use any more.
   */
  decodeStep(
    state: WhisperState,
    tokens: readonly number[],
  ): Promise<{ state: WhisperState; logits: Float32Array }>;
  /** Some of the rows, in the given order. */
  select(state: WhisperState, rows: readonly number[]): WhisperState;
  /** The same windows without any tokens. */
  restart(state: WhisperState): WhisperState;
}

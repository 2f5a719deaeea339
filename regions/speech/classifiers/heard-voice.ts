/** What a classifier heard in a recording, pooled over its windows by their length. */
export interface HeardVoice {
  /** Speech that was heard, seconds. */
  speech_s: number;
  windows: number;
  /** -1 to 1, from end to end of the model's own scale. */
  emotion_dimensions?: Partial<Record<"arousal" | "valence" | "dominance", number>>;
  emotion_labels?: LabelVerdict;
  /** `spread_years` is the deviation between windows; 0 where there is one. */
  age?: { years: number; spread_years: number };
  sex?: LabelVerdict;
  /** Of length 1. */
  speaker_embedding?: Float32Array;
}

/** The likeliest label, and the probability of each. */
export interface LabelVerdict {
  label: string;
  probabilities: Record<string, number>;
}

import type { ClassifierHead, ClassifierSpec } from "../models/classifier-spec.ts";
import { InferenceError } from "../inference/inference-error.ts";
import type { HeardVoice, LabelVerdict } from "./heard-voice.ts";

/** What a model gave for one window: a row of figures for each head, in the order of the heads. */
export interface WindowRows {
  /** Samples, by which it counts. */
  length: number;
  rows: readonly Float32Array[];
}

/** How many figures a head gives for a window. */
export function widthOf(head: ClassifierHead): number {
  switch (head.gives) {
    case "emotion_dimensions":
      return head.columns.length;
    case "age":
      return 1;
    case "speaker_embedding":
      return head.size;
    default:
      return head.labels.length;
  }
}

/**
 * Pools the windows of a recording: each counts by its length. Of labels the probabilities are averaged, of figures the
 * figures, of embeddings the directions. A window is one at least.
 *
 * @throws {InferenceError} `model_mismatch` when the model gave what is no number
 */
export function poolWindows(
  { heads }: ClassifierSpec,
  windows: readonly WindowRows[],
): Omit<HeardVoice, "speech_s" | "windows"> {
  const total = windows.reduce((sum, { length }) => sum + length, 0);
  const heard: Omit<HeardVoice, "speech_s" | "windows"> = {};
  for (const [at, head] of heads.entries()) {
    const rows = windows.map(({ rows: all, length }) => {
      const row = all[at]!;
      if (!row.every((value) => Number.isFinite(value))) throw noNumber(head.output);
      return { row, weight: length / total };
    });
    switch (head.gives) {
      case "emotion_dimensions": {
        const [low, high] = head.range;
        const means = mean(rows);
        heard.emotion_dimensions = Object.fromEntries(
          head.columns.map((name, i) => [
            name,
            Math.max(-1, Math.min(1, (2 * (means[i]! - low)) / (high - low) - 1)),
          ]),
        );
        break;
      }
      case "emotion_labels":
        heard.emotion_labels = toVerdict(head.labels, head.activation, rows);
        break;
      case "sex":
        heard.sex = toVerdict(head.labels, head.activation, rows);
        break;
      case "age": {
        const years = Math.max(0, mean(rows)[0]! * head.years);
        const variance = rows.reduce(
          (sum, { row, weight }) => sum + weight * (row[0]! * head.years - years) ** 2,
          0,
        );
        heard.age = { years, spread_years: Math.sqrt(variance) };
        break;
      }
      case "speaker_embedding": {
        const directions = rows.map(({ row, weight }) => ({ row: unit(row), weight }));
        heard.speaker_embedding = unit(mean(directions));
      }
    }
  }
  return heard;
}

type Weighted = readonly { row: ArrayLike<number>; weight: number }[];

function mean(rows: Weighted): Float64Array {
  const sums = new Float64Array(rows[0]!.row.length);
  for (const { row, weight } of rows) {
    for (let i = 0; i < sums.length; i += 1) sums[i]! += weight * row[i]!;
  }
  return sums;
}

function toVerdict(
  labels: readonly string[],
  activation: "softmax" | "none",
  rows: readonly { row: Float32Array; weight: number }[],
): LabelVerdict {
  const means = mean(
    rows.map(({ row, weight }) => ({
      row: activation === "softmax" ? softmax(row) : row,
      weight,
    })),
  );
  const sum = means.reduce((all, value) => all + value, 0);
  // A model that gives probabilities itself gives them to within a rounding.
  if (means.some((value) => value < 0) || Math.abs(sum - 1) > 0.01) throw noProbabilities();
  let best = 0;
  for (const [i, value] of means.entries()) if (value > means[best]!) best = i;
  return {
    label: labels[best]!,
    probabilities: Object.fromEntries(labels.map((label, i) => [label, means[i]! / sum])),
  };
}

function softmax(row: Float32Array): Float64Array {
  const most = Math.max(...row);
  const powers = Float64Array.from(row, (value) => Math.exp(value - most));
  const sum = powers.reduce((all, value) => all + value, 0);
  return powers.map((value) => value / sum);
}

function unit(row: ArrayLike<number>): Float32Array {
  let square = 0;
  for (let i = 0; i < row.length; i += 1) square += row[i]! ** 2;
  const length = Math.sqrt(square);
  return Float32Array.from(row, (value) => (length === 0 ? 0 : value / length));
}

function noNumber(output: string): InferenceError {
  return new InferenceError("model_mismatch", `The model's ${output} is no number.`);
}

function noProbabilities(): InferenceError {
  return new InferenceError(
    "model_mismatch",
    "The model does not give probabilities, as the manifest says.",
  );
}

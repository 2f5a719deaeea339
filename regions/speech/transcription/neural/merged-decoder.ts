import { Tensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import { checkGraph, checkSize, expectShape } from "./check-graph.ts";
import type { GraphRole } from "./check-graph.ts";

/** Rows of a batch that were encoded and perhaps fed some tokens. */
export interface DecoderState {
  readonly rows: number;
  /** [rows, positions, width] */
  hidden: Tensor;
  /** Keys and values, by the names of the inputs that take them; undefined before the first token. */
  past: Record<string, Tensor> | undefined;
}

export interface MergedDecoder {
  /**
   * Feeds the next tokens to every row: any number for each at first, all the same number, then one each.
   *
   * @param tokens row by row, `tokens.length / state.rows` each
   * @returns the state after them, and the logits at each of them: row by row, position by position, a vocabulary each.
   * The caller may write into the logits. The state that was given is of no use any more.
   */
  step(
    state: DecoderState,
    tokens: readonly number[],
  ): Promise<{ state: DecoderState; logits: Float32Array }>;
}

/** What config.json says of a decoder. */
export interface DecoderSizes {
  layers: number;
  heads: number;
  width: number;
  vocabulary: number;
}

/**
 * Runs a `decoder_model_merged.onnx`, whose input `use_cache_branch` says whether there are keys and values of earlier tokens.
 * It makes those of the encoder once, in the branch without; what the other branch gives for them is empty.
 *
 * @param kind of model, for messages
 * @throws {ModelFaultError} `mismatch`: the graph has other inputs or outputs
 */
export function createMergedDecoder(
  decoder: InferenceSession,
  { layers, heads, width, vocabulary }: DecoderSizes,
  kind: string,
): MergedDecoder {
  const role: GraphRole = { graph: "decoder", kind };
  const headSize = width / heads;
  const slots = cacheSlots(layers);
  const pasts = slots.map((slot) => `past_key_values.${slot}`);
  const all = ["logits", ...slots.map((slot) => `present.${slot}`)];
  const inputs = ["input_ids", "encoder_hidden_states", "use_cache_branch", ...pasts];
  checkGraph(role, decoder, inputs, all);
  checkSize(role, decoder.inputMetadata, "encoder_hidden_states", 2, width);
  checkSize(role, decoder.outputMetadata, "logits", 2, vocabulary);
  const changing = all.filter((name) => !name.includes(".encoder."));
  const flag = { true: switchTo(true), false: switchTo(false) };

  return {
    async step({ rows, hidden, past }, tokens) {
      const length = tokens.length / rows;
      const input_ids = new Tensor("int64", BigInt64Array.from(tokens, BigInt), [rows, length]);
      const empty = (): Tensor =>
        new Tensor("float32", new Float32Array(0), [rows, heads, 0, headSize]);
      const made = await decoder.run(
        {
          input_ids,
          encoder_hidden_states: hidden,
          use_cache_branch: past === undefined ? flag.false : flag.true,
          ...(past ?? Object.fromEntries(pasts.map((name) => [name, empty()]))),
        },
        past === undefined ? all : changing,
      );
      expectShape(role, "logits", made["logits"]!, [rows, length, vocabulary]);
      const next: Record<string, Tensor> = { ...past };
      for (const slot of slots) {
        const present = made[`present.${slot}`];
        if (present !== undefined) next[`past_key_values.${slot}`] = present;
      }
      return { state: { rows, hidden, past: next }, logits: made["logits"]!.data as Float32Array };
    },
  };
}

/** Some of the rows, in the given order. */
export function selectState({ hidden, past }: DecoderState, rows: readonly number[]): DecoderState {
  const own = past === undefined ? undefined : Object.entries(past);
  return {
    rows: rows.length,
    hidden: selectRows(hidden, rows),
    past: own && Object.fromEntries(own.map(([name, tensor]) => [name, selectRows(tensor, rows)])),
  };
}

/** Names of keys and values, without what says whether they go in or come out. */
function cacheSlots(layers: number): string[] {
  return Array.from({ length: layers }, (_, layer) =>
    ["decoder", "encoder"].flatMap((part) =>
      ["key", "value"].map((half) => `${layer}.${part}.${half}`),
    ),
  ).flat();
}

function switchTo(value: boolean): Tensor {
  return new Tensor("bool", Uint8Array.of(Number(value)), [1]);
}

/** Rows are the first dimension. */
function selectRows({ data, dims }: Tensor, rows: readonly number[]): Tensor {
  const values = data as Float32Array;
  const size = values.length / dims[0]!;
  const chosen = new Float32Array(rows.length * size);
  for (const [to, from] of rows.entries()) {
    chosen.set(values.subarray(from * size, (from + 1) * size), to * size);
  }
  return new Tensor("float32", chosen, [rows.length, ...dims.slice(1)]);
}

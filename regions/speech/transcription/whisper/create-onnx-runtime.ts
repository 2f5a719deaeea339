import { Tensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import { WINDOW_FRAMES } from "./log-mel.ts";
import { WhisperModelError } from "./whisper-error.ts";
import type { WhisperModel } from "./whisper-model.ts";
import type { WhisperRuntime, WhisperState } from "./whisper-runtime.ts";

/** Positions of the encoder's answer: every other frame. */
const POSITIONS = WINDOW_FRAMES / 2;

export interface WhisperSessions {
  encoder: InferenceSession;
  decoder: InferenceSession;
}

interface OnnxState extends WhisperState {
  /** [rows, 1500, width] */
  hidden: Tensor;
  /** Keys and values, by the names of the inputs that take them; undefined before the first token. */
  past: Record<string, Tensor> | undefined;
}

/**
 * Runs the exports that Whisper models are published in: `encoder_model.onnx`, and `decoder_model_merged.onnx`, whose
 * input `use_cache_branch` says whether there are keys and values of earlier tokens. It makes those of the encoder once, in
 * the branch without; what the other branch gives for them is empty.
 *
 * @throws {WhisperModelError} `mismatch`: the graphs have other inputs or outputs
 */
export function createOnnxRuntime(
  { encoder, decoder }: WhisperSessions,
  model: Pick<WhisperModel, "bands" | "layers" | "heads" | "width" | "vocabulary">,
): WhisperRuntime {
  const { bands, heads, width, vocabulary } = model;
  const headSize = width / heads;
  const slots = cacheSlots(model.layers);
  checkGraph("encoder", encoder, ["input_features"], ["last_hidden_state"]);
  checkGraph(
    "decoder",
    decoder,
    [
      "input_ids",
      "encoder_hidden_states",
      "use_cache_branch",
      ...slots.map((slot) => `past_key_values.${slot}`),
    ],
    ["logits", ...slots.map((slot) => `present.${slot}`)],
  );
  checkSize("encoder", encoder.inputMetadata, "input_features", 1, bands);
  checkSize("decoder", decoder.inputMetadata, "encoder_hidden_states", 2, width);
  checkSize("decoder", decoder.outputMetadata, "logits", 2, vocabulary);
  const all = ["logits", ...slots.map((slot) => `present.${slot}`)];
  const changing = all.filter((name) => !name.includes(".encoder."));
  const flag = { true: switchTo(true), false: switchTo(false) };

  return {
    async encode(features, rows) {
      const input_features = new Tensor("float32", features, [rows, bands, WINDOW_FRAMES]);
      const { last_hidden_state: hidden } = await encoder.run({ input_features });
      expectShape("last_hidden_state", hidden!, [rows, POSITIONS, width]);
      return { rows, hidden: hidden!, past: undefined } satisfies OnnxState;
    },
    async decodeStep(state, tokens) {
      const { rows, hidden, past } = state as OnnxState;
      const length = tokens.length / rows;
      const input_ids = new Tensor("int64", BigInt64Array.from(tokens, BigInt), [rows, length]);
      const empty = (): Tensor =>
        new Tensor("float32", new Float32Array(0), [rows, heads, 0, headSize]);
      const made = await decoder.run(
        {
          input_ids,
          encoder_hidden_states: hidden,
          use_cache_branch: past === undefined ? flag.false : flag.true,
          ...(past ??
            Object.fromEntries(slots.map((slot) => [`past_key_values.${slot}`, empty()]))),
        },
        past === undefined ? all : changing,
      );
      expectShape("logits", made["logits"]!, [rows, length, vocabulary]);
      const next: Record<string, Tensor> = { ...past };
      for (const slot of slots) {
        const present = made[`present.${slot}`];
        if (present !== undefined) next[`past_key_values.${slot}`] = present;
      }
      return {
        state: { rows, hidden, past: next } satisfies OnnxState,
        logits: made["logits"]!.data as Float32Array,
      };
    },
    select(state, rows) {
      const { hidden, past } = state as OnnxState;
      const own = past === undefined ? undefined : Object.entries(past);
      return {
        rows: rows.length,
        hidden: selectRows(hidden, rows),
        past:
          own && Object.fromEntries(own.map(([name, tensor]) => [name, selectRows(tensor, rows)])),
      } satisfies OnnxState;
    },
    restart(state) {
      const { rows, hidden } = state as OnnxState;
      return { rows, hidden, past: undefined } satisfies OnnxState;
    },
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

/** More outputs than are needed (attentions, for one) do no harm; another input would be missing in every run. */
function checkGraph(
  kind: string,
  session: InferenceSession,
  inputs: readonly string[],
  outputs: readonly string[],
): void {
  const missing = inputs.filter((name) => !session.inputNames.includes(name));
  const unknown = session.inputNames.filter((name) => !inputs.includes(name));
  const absent = outputs.filter((name) => !session.outputNames.includes(name));
  const faults = [
    ...missing.map((name) => `it has no input ${name}`),
    ...unknown.map((name) => `its input ${name} is unknown`),
    ...absent.map((name) => `it has no output ${name}`),
  ];
  for (const tensor of [...session.inputMetadata, ...session.outputMetadata]) {
    const isFloat = tensor.name !== "input_ids" && tensor.name !== "use_cache_branch";
    if (isFloat && tensor.isTensor && tensor.type !== "float32") {
      faults.push(`${tensor.name} is ${tensor.type}, not float32`);
    }
  }
  if (faults.length > 0) throw mismatch(kind, faults.slice(0, 4).join(", "));
}

function checkSize(
  kind: string,
  metadata: readonly InferenceSession.ValueMetadata[],
  name: string,
  dimension: number,
  size: number,
): void {
  const tensor = metadata.find((one) => one.name === name);
  const found = tensor?.isTensor === true ? tensor.shape[dimension] : undefined;
  if (typeof found === "number" && found > 0 && found !== size) {
    throw mismatch(kind, `${name} has ${found} in place of the ${size} that config.json says`);
  }
}

function expectShape(name: string, { dims }: Tensor, shape: readonly number[]): void {
  if (dims.join() !== shape.join()) {
    throw mismatch("model", `${name} came as [${dims.join(", ")}], not [${shape.join(", ")}]`);
  }
}

function mismatch(kind: string, message: string): WhisperModelError {
  return new WhisperModelError("mismatch", `The ${kind} cannot be run as a Whisper's: ${message}.`);
}

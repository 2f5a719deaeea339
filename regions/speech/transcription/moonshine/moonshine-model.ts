import { z } from "zod";
import type { DecoderSizes } from "../neural/merged-decoder.ts";
import { ModelFaultError } from "../neural/model-fault.ts";

/** What has to be known of a Moonshine model to run it, from `config.json`. */
export interface MoonshineModel extends DecoderSizes {
  /** Tokens that an answer may have, with the one that it begins with. */
  maxTokens: number;
  tokens: { start: number; end: number };
}

const count = z.int().positive();
const token = z.int().min(0);

const Config = z.object({
  model_type: z.string(),
  vocab_size: count,
  hidden_size: count,
  decoder_num_hidden_layers: count,
  decoder_num_attention_heads: count,
  /** As many as there are heads, when absent. */
  decoder_num_key_value_heads: count.nullish(),
  max_position_embeddings: count,
  decoder_start_token_id: token,
  eos_token_id: z.union([
    token,
    z
      .array(token)
      .length(1)
      .transform(([only]) => only!),
  ]),
});

/** @throws {ModelFaultError} `mismatch`: another kind of model, or one that contradicts itself */
export function readMoonshineModel(json: unknown): MoonshineModel {
  const parsed = Config.safeParse(json);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw mismatch(`config.json is not what a Moonshine model has: ${faults.join("; ")}`);
  }
  const config = parsed.data;
  if (config.model_type !== "moonshine") {
    throw mismatch(`config.json describes a ${config.model_type}, not a moonshine`);
  }
  const { vocab_size: vocabulary, hidden_size: width } = config;
  const tokens = { start: config.decoder_start_token_id, end: config.eos_token_id };
  if (Object.values(tokens).some((id) => id >= vocabulary)) {
    throw mismatch("its special tokens are not all in its vocabulary");
  }
  const queries = config.decoder_num_attention_heads;
  if (width % queries !== 0)
    throw mismatch(`its ${queries} heads cannot share a width of ${width}`);
  const heads = config.decoder_num_key_value_heads ?? queries;
  if (heads !== queries) throw mismatch("its heads share keys and values");
  return {
    layers: config.decoder_num_hidden_layers,
    heads,
    width,
    vocabulary,
    maxTokens: config.max_position_embeddings,
    tokens,
  };
}

function mismatch(message: string): ModelFaultError {
  return new ModelFaultError("mismatch", `The model cannot be run as a Moonshine: ${message}.`);
}

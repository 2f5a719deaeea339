import { z } from "zod";
import { ModelFaultError } from "../neural/model-fault.ts";

/** What has to be known of a Whisper model to run it, from the files beside its graphs. */
export interface WhisperModel {
  /** Mel bands that it hears. */
  bands: number;
  vocabulary: number;
  /** Of the decoder. */
  layers: number;
  heads: number;
  width: number;
  /** Tokens that an answer may have, with its prompt. */
  maxTokens: number;
  tokens: {
    end: number;
    start: number;
    transcribe: number;
    translate: number;
    noTimestamps: number;
    noSpeech: number;
    /** 0 s; each further token is 20 ms later. */
    firstTime: number;
  };
  /** ISO 639-1 (three letters where there are not two) and token. Empty for a model of English alone. */
  languages: ReadonlyMap<string, number>;
  suppress: readonly number[];
  suppressAtBegin: readonly number[];
  /** The latest time, in steps of 20 ms, at which an answer may begin. */
  maxInitialTime: number | undefined;
}

const count = z.int().positive();
const token = z.int().min(0);
const tokenList = z
  .array(z.int())
  .nullish()
  .transform((list) => (list ?? []).filter((id) => id >= 0));

const Config = z.object({
  model_type: z.string(),
  num_mel_bins: count,
  vocab_size: count,
  d_model: count,
  decoder_layers: count,
  decoder_attention_heads: count,
  max_target_positions: count,
  max_source_positions: z.literal(1500),
  eos_token_id: token,
  decoder_start_token_id: token,
});

const Generation = z.object({
  eos_token_id: z.union([token, z.array(token).min(1)]).optional(),
  decoder_start_token_id: token.optional(),
  is_multilingual: z.boolean().optional(),
  lang_to_id: z.record(z.string(), token).nullish(),
  task_to_id: z.object({ transcribe: token, translate: token }).nullish(),
  no_timestamps_token_id: token,
  max_initial_timestamp_index: token.nullish(),
  suppress_tokens: tokenList,
  begin_suppress_tokens: tokenList,
});

const Preprocessor = z.object({
  feature_size: count,
  sampling_rate: z.literal(16_000),
  n_fft: z.literal(400),
  hop_length: z.literal(160),
  chunk_length: z.literal(30),
});

export interface WhisperConfigs {
  config: unknown;
  generation: unknown;
  preprocessor: unknown;
}

/**
 * Reads `config.json`, `generation_config.json` and `preprocessor_config.json`, as they come with Whisper models.
 * @throws {ModelFaultError} `mismatch`: another kind of model, or one that is heard otherwise
 */
export function readWhisperModel(
  files: WhisperConfigs,
  idOf: (token: string) => number | undefined,
): WhisperModel {
  const config = parse("config.json", Config, files.config);
  if (config.model_type !== "whisper") {
    throw mismatch(`config.json describes a ${config.model_type}, not a whisper`);
  }
  const { generation, languages } = readGeneration(files.generation);
  const preprocessor = parse("preprocessor_config.json", Preprocessor, files.preprocessor);
  if (preprocessor.feature_size !== config.num_mel_bins) {
    throw mismatch(
      `preprocessor_config.json gives ${preprocessor.feature_size} mel bands, config.json asks for ${config.num_mel_bins}`,
    );
  }
  const { eos_token_id: ends = config.eos_token_id, no_timestamps_token_id: noTimestamps } =
    generation;
  const model: WhisperModel = {
    bands: config.num_mel_bins,
    vocabulary: config.vocab_size,
    layers: config.decoder_layers,
    heads: config.decoder_attention_heads,
    width: config.d_model,
    maxTokens: config.max_target_positions,
    tokens: {
      end: Array.isArray(ends) ? ends[0]! : ends,
      start: generation.decoder_start_token_id ?? config.decoder_start_token_id,
      transcribe: generation.task_to_id?.transcribe ?? idOf("<|transcribe|>") ?? -1,
      translate: generation.task_to_id?.translate ?? idOf("<|translate|>") ?? -1,
      noTimestamps,
      // Its name has changed over time; its place has not.
      noSpeech: idOf("<|nospeech|>") ?? idOf("<|nocaptions|>") ?? noTimestamps - 1,
      firstTime: noTimestamps + 1,
    },
    languages,
    suppress: generation.suppress_tokens,
    suppressAtBegin: generation.begin_suppress_tokens,
    maxInitialTime: generation.max_initial_timestamp_index ?? undefined,
  };
  const needed = [
    ...Object.values(model.tokens),
    ...languages.values(),
    ...model.suppress,
    ...model.suppressAtBegin,
  ];
  if (needed.some((id) => id < 0 || id >= model.vocabulary)) {
    throw mismatch("its special tokens are not all in its vocabulary");
  }
  return model;
}

/** What `generation_config.json` says, and the languages of a model that knows several. @throws {ModelFaultError} */
export function readGeneration(json: unknown) {
  const generation = parse("generation_config.json", Generation, json);
  const multilingual = generation.is_multilingual ?? generation.lang_to_id != null;
  const languages = multilingual
    ? languagesOf(generation.lang_to_id ?? {})
    : new Map<string, number>();
  if (multilingual && languages.size === 0) {
    throw mismatch(
      "generation_config.json names no languages of a model that is said to have many",
    );
  }
  return { generation, languages };
}

function languagesOf(ids: Readonly<Record<string, number>>): Map<string, number> {
  return new Map(
    Object.entries(ids).map(([name, id]): [string, number] => [name.replaceAll(/[<|>]/g, ""), id]),
  );
}

function parse<T>(name: string, schema: z.ZodType<T>, json: unknown): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw mismatch(`${name} is not what a Whisper model has: ${faults.join("; ")}`);
}

function mismatch(message: string): ModelFaultError {
  return new ModelFaultError("mismatch", `The model cannot be run as a Whisper: ${message}.`);
}

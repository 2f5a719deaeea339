import { MAX_DEFLATED, deflatedRatio } from "../neural/deflated-ratio.ts";
import { likeliest, logSumExp, rowOf } from "../neural/logits.ts";
import { createChance } from "./create-chance.ts";
import { applyTokenRules } from "./token-rules.ts";
import type { WhisperModel } from "./whisper-model.ts";
import type { WhisperRuntime, WhisperState } from "./whisper-runtime.ts";

/** One window of a batch. */
export interface WindowToDecode {
  /** A language of the model; detected when absent. */
  language?: string | undefined;
  /** Once it is aborted the row leaves the batch at the next token; its answer is undefined. */
  signal?: AbortSignal | undefined;
}

export interface DecodeWindowsOptions {
  task: "transcribe" | "translate";
  timestamps: boolean;
  /** Tokens after the prompt at most; half of what the model has positions for when absent, as Whisper's makers have it. */
  maxTokens?: number | undefined;
  /** What the answer's plausibility is judged by; token ids to text, special tokens left out. */
  textOf: (tokens: readonly number[]) => string;
  /** Tried in turn until an answer is plausible. 0 takes the likeliest token. */
  temperatures?: readonly number[];
}

/** What Whisper's makers found to be a sensible order: likeliest first, then ever more by chance. */
export const defaultTemperatures = [0, 0.2, 0.4, 0.6, 0.8, 1] as const;
const MIN_AVERAGE_LOGPROB = -1;
const MIN_NO_SPEECH = 0.6;

export interface DecodedWindow {
  /** After the prompt, without the end token. */
  tokens: number[];
  /** Whether the model came to an end by itself. */
  ended: boolean;
  /** Undefined for a model of English alone. */
  language: string | undefined;
  /** Of the language among all; 1 where it was given. */
  languageProbability: number;
  /** Probability that the model gives to there being no speech. */
  noSpeech: number;
  /** Mean natural logarithm of the probability of each token, the end among them. */
  averageLogprob: number;
  temperature: number;
  /**
   * `silence`: the model thinks that nobody speaks and is not sure of its text. `repetitive`: at every temperature the text
   * went round in circles. Neither text is to be believed.
   */
  verdict: "plausible" | "unsure" | "silence" | "repetitive";
}

interface Row extends WindowToDecode {
  index: number;
  language: string | undefined;
  languageProbability: number;
}

/**
 * Answers for a batch of windows, token by token, all rows in step. Rows that are done leave the batch when half of it is. What
 * a row says does not depend on the others: each has its own chance, begun anew for each temperature.
 */
export async function decodeWindows(
  runtime: WhisperRuntime,
  model: WhisperModel,
  features: Float32Array,
  windows: readonly WindowToDecode[],
  options: DecodeWindowsOptions,
): Promise<(DecodedWindow | undefined)[]> {
  const { temperatures = defaultTemperatures } = options;
  const strange = windows.find(
    ({ language }) =>
      language !== undefined && model.languages.size > 0 && !model.languages.has(language),
  );
  if (strange !== undefined) throw noLanguage(strange.language);
  const answers: (DecodedWindow | undefined)[] = windows.map(() => undefined);
  let state = await runtime.encode(features, windows.length);
  let rows: Row[] = windows.map((window, index) => {
    return { ...window, index, language: window.language, languageProbability: 1 };
  });
  if (model.languages.size > 0 && rows.some(({ language }) => language === undefined)) {
    state = await detectLanguages(runtime, model, state, rows);
  }
  for (const [at, temperature] of temperatures.entries()) {
    const stays = rows.flatMap(({ signal }, i) => (signal?.aborted === true ? [] : [i]));
    if (stays.length === 0) break;
    if (stays.length < rows.length) {
      state = runtime.select(state, stays);
      rows = stays.map((i) => rows[i]!);
    }
    const decoded = await decodeOnce(runtime, model, state, rows, temperature, options);
    const again: number[] = [];
    for (const [i, row] of rows.entries()) {
      const answer = decoded[i];
      answers[row.index] = answer;
      const isPoor = answer?.verdict === "unsure" || answer?.verdict === "repetitive";
      if (isPoor && at + 1 < temperatures.length) again.push(i);
    }
    if (again.length === 0) break;
    state = runtime.select(state, again);
    rows = again.map((i) => rows[i]!);
  }
  return answers;
}

async function detectLanguages(
  runtime: WhisperRuntime,
  model: WhisperModel,
  encoded: WhisperState,
  rows: Row[],
): Promise<WhisperState> {
  const { state, logits } = await runtime.decodeStep(
    encoded,
    rows.map(() => model.tokens.start),
  );
  for (const [i, row] of rows.entries()) {
    if (row.language !== undefined) continue;
    const probabilities = languageProbabilities(model, rowOf(logits, i, model.vocabulary));
    let best = "";
    for (const [language, probability] of probabilities) {
      if (probability > (probabilities.get(best) ?? -1)) best = language;
    }
    row.language = best;
    row.languageProbability = probabilities.get(best)!;
  }
  return runtime.restart(state);
}

/** Probability of each language among all, from the logits after the start token. */
export function languageProbabilities(
  { languages }: WhisperModel,
  logits: Float32Array,
): Map<string, number> {
  const own = Float32Array.from(languages.values(), (token) => logits[token]!);
  const total = logSumExp(own);
  return new Map([...languages.keys()].map((name, i) => [name, Math.exp(own[i]! - total)]));
}

/** One pass at one temperature. */
async function decodeOnce(
  runtime: WhisperRuntime,
  model: WhisperModel,
  encoded: WhisperState,
  rows: readonly Row[],
  temperature: number,
  { task, timestamps, maxTokens, textOf }: DecodeWindowsOptions,
): Promise<(DecodedWindow | undefined)[]> {
  const { tokens, vocabulary, maxTokens: positions } = model;
  const prompts = rows.map(({ language }) => promptOf(model, language, task, timestamps));
  const promptLength = prompts[0]!.length;
  const limit = Math.min(maxTokens ?? Math.floor(positions / 2), positions - promptLength);
  const said = rows.map((): number[] => []);
  const logprobs = rows.map(() => 0);
  const noSpeech: number[] = [];
  const ended = rows.map(() => false);
  const chances = rows.map(() => createChance(temperature));
  /** Rows that are in the batch, by their place in it. */
  let active = rows.map((_, i) => i);
  let { state, logits } = await runtime.decodeStep(runtime.restart(encoded), prompts.flat());
  let width = promptLength;
  for (let step = 0; step < limit; step += 1) {
    for (const [place, i] of active.entries()) {
      if (ended[i] === true || rows[i]!.signal?.aborted === true) continue;
      if (step === 0) {
        const first = rowOf(logits, place * width, vocabulary);
        noSpeech[i] = Math.exp(first[tokens.noSpeech]! - logSumExp(first));
      }
      const next = rowOf(logits, place * width + width - 1, vocabulary);
      applyTokenRules(next, said[i]!, model, timestamps);
      const token = temperature === 0 ? likeliest(next) : chances[i]!.draw(next);
      logprobs[i]! += next[token]! - logSumExp(next);
      if (token === tokens.end) ended[i] = true;
      else said[i]!.push(token);
    }
    const open = active.filter((i) => !ended[i]! && rows[i]!.signal?.aborted !== true);
    if (open.length === 0 || step + 1 === limit) break;
    if (open.length <= active.length / 2) {
      state = runtime.select(
        state,
        open.map((i) => active.indexOf(i)),
      );
      active = open;
    }
    ({ state, logits } = await runtime.decodeStep(
      state,
      active.map((i) => (ended[i] === true ? tokens.end : (said[i]!.at(-1) ?? tokens.end))),
    ));
    width = 1;
  }
  return rows.map(({ signal, language, languageProbability }, i) => {
    if (signal?.aborted === true) return undefined;
    const spoken = said[i]!;
    const averageLogprob = logprobs[i]! / (spoken.length + 1);
    const silent = noSpeech[i]! > MIN_NO_SPEECH && averageLogprob < MIN_AVERAGE_LOGPROB;
    const text = textOf(spoken.filter((token) => token < tokens.end));
    const verdict = silent
      ? "silence"
      : deflatedRatio(text) > MAX_DEFLATED
        ? "repetitive"
        : averageLogprob < MIN_AVERAGE_LOGPROB
          ? "unsure"
          : "plausible";
    return {
      tokens: spoken,
      ended: ended[i]!,
      language,
      languageProbability,
      noSpeech: noSpeech[i]!,
      averageLogprob,
      temperature,
      verdict,
    };
  });
}

function promptOf(
  { tokens, languages }: WhisperModel,
  language: string | undefined,
  task: DecodeWindowsOptions["task"],
  timestamps: boolean,
): number[] {
  const spoken: number[] = [];
  if (languages.size > 0) {
    const token = languages.get(language ?? "");
    if (token === undefined) throw noLanguage(language);
    spoken.push(token, tokens[task]);
  }
  return [tokens.start, ...spoken, ...(timestamps ? [] : [tokens.noTimestamps])];
}

function noLanguage(language: string | undefined): RangeError {
  return new RangeError(`The model has no language ${language}.`);
}

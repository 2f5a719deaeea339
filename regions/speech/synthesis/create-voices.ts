import { fliteVoices, type Voice } from "../../../shared/contracts/speech.ts";
import { ApiError } from "../../../shared/errors/problem.ts";
import { createInference } from "../inference/create-inference.ts";
import type { Inference } from "../inference/create-inference-thread.ts";
import { loadManifest, type ModelManifest } from "../models/load-manifest.ts";
import type { ModelEntry } from "../models/model-entry.ts";
import { resolveModel, type ReadyModel } from "../models/resolve-model.ts";
import { createFliteEngine } from "./flite/create-flite-engine.ts";
import { createFliteThreads, type FliteThreads } from "./flite/create-flite-threads.ts";
import { createKokoroEngine } from "./kokoro/create-kokoro-engine.ts";
import { kokoroVoices } from "./kokoro/kokoro-files.ts";
import { createPronouncer } from "./phonemes/create-pronouncer.ts";
import { createPiperEngine } from "./piper/create-piper-engine.ts";
import {
  piperConfigPath,
  piperLanguage,
  piperVoices,
  readPiperConfig,
} from "./piper/piper-config.ts";
import type { SpeechEngine } from "./speech-engine.ts";
import { SynthesisError } from "./synthesis-error.ts";

export interface VoicesOptions {
  /** Read anew now and then, so that what is installed while this runs is found. Absent: what ships. */
  manifest?: () => ModelManifest;
  /** Closed with the voices; so is flite. */
  inference?: Inference;
  flite?: FliteThreads;
  /** Told how many sounds of a piece a voice's model has no symbol for, when there are any. */
  onDropped?: (count: number) => void;
  /** How long what was found stays true. */
  rescanMs?: number;
}

/** The voices of this machine: flite's, and those of the models for `synthesize` that are installed. */
export interface SpeechVoices {
  /** Those that can speak now. */
  list(): Voice[];
  /**
   * The engine of a voice.
   * @throws ApiError invalid_request | voice_not_installed | language_unsupported
   */
  find(voice: string): SpeechEngine;
  close(): Promise<void>;
}

/** What a model of the manifest has to offer. */
type Offer = { voices: Voice[] } & (
  | { engine: SpeechEngine }
  /** Why none of its voices can speak here. */
  | { refusal: ApiError }
);

const RESCAN_MS = 5000;

export function createVoices(options: VoicesOptions = {}): SpeechVoices {
  const {
    manifest = () => loadManifest(),
    inference = createInference(),
    flite = createFliteThreads(),
    onDropped,
    rescanMs = RESCAN_MS,
  } = options;
  const pronounce = createPronouncer(flite);
  const plain = createFliteEngine({ threadsOfFlite: flite });
  /** By the files that they were made of, so that a voice is not read anew with every scan. */
  const made = new Map<string, Offer>();
  let offers: Offer[] = [];
  let scannedAt = -Infinity;

  function offerOf(entry: ModelEntry, models: ModelManifest): Offer | undefined {
    const isPiper = piperConfigPath(entry) !== undefined;
    if (!isPiper && kokoroVoices(entry).length === 0) return undefined;
    const resolved = resolveModel(models, "synthesize", { name: entry.name });
    if (resolved.status !== "ready") {
      const how = resolved.install === undefined ? "" : ` Install it with: ${resolved.install}`;
      return {
        voices: isPiper ? namedOnly(entry.name) : describeKokoro(entry),
        refusal: new ApiError("voice_not_installed", `${resolved.reason}${how}`),
      };
    }
    const key = [...resolved.files.values()].map(({ path, sha256 }) => `${path}\n${sha256}`);
    const known = made.get(key.join("\n"));
    if (known !== undefined) return known;
    const offer = isPiper ? offerPiper(resolved) : offerKokoro(resolved);
    made.set(key.join("\n"), offer);
    return offer;
  }

  function offerKokoro(model: ReadyModel): Offer {
    const engine = createKokoroEngine({ model, inference, pronounce, onDropped });
    return { voices: describeKokoro(model.entry), engine };
  }

  function offerPiper(model: ReadyModel): Offer {
    const { name } = model.entry;
    try {
      const config = readPiperConfig(model);
      const language = piperLanguage(config);
      const engine = createPiperEngine({ model, config, inference, pronounce, onDropped });
      const voices = piperVoices(name, config).map(({ id, aliases }): Voice => ({
        id,
        name: id,
        language,
        sex: "unknown",
        engine: "piper",
        sample_rate_hz: engine.sampleRate,
        aliases,
      }));
      return { voices, engine };
    } catch (error) {
      if (!(error instanceof SynthesisError)) throw error;
      const refusal = new ApiError("voice_not_installed", error.message, { cause: error });
      return { voices: namedOnly(name), refusal };
    }
  }

  function scan(): Offer[] {
    const now = performance.now();
    if (now - scannedAt < rescanMs) return offers;
    const models = manifest();
    const entries = models.models.filter(({ task }) => task === "synthesize");
    offers = entries.flatMap((entry) => offerOf(entry, models) ?? []);
    scannedAt = now;
    return offers;
  }

  const refuseUnknown = (voice: string) => {
    const known = list().map(({ id }) => id);
    const some = known.slice(0, 40).join(", ") + (known.length > 40 ? ", …" : "");
    return new ApiError("invalid_request", "Some fields are not valid.", {
      errors: [{ path: "voice", message: `${voice} is not a voice here; there are ${some}` }],
    });
  };

  function list(): Voice[] {
    const found = new Map(fliteVoices.map((voice) => [voice.id, voice]));
    for (const offer of scan()) {
      if (!("engine" in offer)) continue;
      for (const voice of offer.voices) {
        if (isEnglish(voice) && !found.has(voice.id)) found.set(voice.id, voice);
      }
    }
    return [...found.values()];
  }

  function find(voice: string): SpeechEngine {
    if (plain.voices.includes(voice)) return plain;
    let refusal: ApiError | undefined;
    for (const offer of scan()) {
      const found = voiceOf(offer, voice);
      if (found === undefined) continue;
      if (!isEnglish(found)) {
        refusal ??= new ApiError(
          "language_unsupported",
          `The voice ${voice} speaks ${found.language}; texts can be pronounced in English (en) alone.`,
        );
      } else if ("engine" in offer) return offer.engine;
      else refusal ??= offer.refusal;
    }
    throw refusal ?? refuseUnknown(voice);
  }

  return {
    list,
    find,
    async close() {
      await Promise.all([plain.close(), inference.close()]);
    },
  };
}

const isEnglish = ({ language }: Voice): boolean => /^en(-|$)/.test(language);

/** Of a model that is not installed nobody knows the speakers: whoever asks for one is told of the model. */
function voiceOf(offer: Offer, name: string): Voice | undefined {
  const wanted = "refusal" in offer ? name.split(":")[0]! : name;
  return offer.voices.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
}

function namedOnly(id: string): Voice[] {
  const unread = { language: "en", sex: "unknown", engine: "piper", sample_rate_hz: 0 } as const;
  return [{ ...unread, id, name: id, aliases: [] }];
}

function describeKokoro(entry: ModelEntry): Voice[] {
  return kokoroVoices(entry).map(({ id, name, language = "und", sex }) => ({
    id,
    name: `${name}, ${language === "en-GB" ? "British" : "American"} English`,
    language,
    sex,
    engine: "kokoro",
    sample_rate_hz: 24_000,
    aliases: [],
  }));
}

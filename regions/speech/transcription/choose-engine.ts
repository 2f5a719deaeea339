import { existsSync } from "node:fs";
import type { UnavailablePart } from "../../../shared/contracts/analysis-result.ts";
import { bestModels } from "../../../shared/contracts/transcription.ts";
import type { ModelMemory, ModelRoom } from "../inference/create-inference.ts";
import type { ModelManifest } from "../models/load-manifest.ts";
import type { ModelEntry } from "../models/model-entry.ts";
import { defaultModelsFolder, folderOf, installCommand } from "../models/models-folder.ts";
import { resolveModel } from "../models/resolve-model.ts";
import type { ReadyModel } from "../models/resolve-model.ts";
import { createMoonshine } from "./moonshine/create-moonshine.ts";
import type { MoonshineOptions } from "./moonshine/create-moonshine.ts";
import { createPocketsphinx } from "./pocketsphinx/create-pocketsphinx.ts";
import { findPocketsphinx } from "./pocketsphinx/find-pocketsphinx.ts";
import type { TranscriptionEngine, UnloadableEngine } from "./transcription-engine.ts";
import { TranscriptionRefusal } from "./transcription-refusal.ts";
import { createWhisper } from "./whisper/create-whisper.ts";
import type { WhisperOptions } from "./whisper/create-whisper.ts";

/** What a transcript was asked for with. */
export interface TranscriptRequest {
  /** A model of the manifest, or `pocketsphinx-en-us`; the best that is installed when absent, and for OpenAI's names. */
  model?: string | undefined;
  /** ISO 639-1; found out when absent, by engines that can. */
  language?: string | undefined;
}

/** The engines of one worker; recordings that are transcribed at the same time share them. */
export interface TranscriptionEngines {
  /**
   * The engine for a request, or why there is none where none is installed and none was asked for by name.
   * @throws {TranscriptionRefusal}
   */
  choose(request: TranscriptRequest): Promise<TranscriptionEngine | UnavailablePart>;
  close(): Promise<void>;
}

export interface EngineOptions {
  manifest: ModelManifest;
  /** Folders of programs, as in PATH. */
  searchPath: string;
  /** Memory that models may take together, MB. */
  budgetMb?: number;
  /** Where they take their room in it; none is kept track of when absent. */
  memory?: ModelMemory;
  /** How Whisper models are run. */
  whisper?: WhisperOptions;
  /** How Moonshine models are run. */
  moonshine?: MoonshineOptions;
  /** Told once why a model that is installed is passed over. */
  onPassedOver?: ((reason: string) => void) | undefined;
}

const POCKETSPHINX = "pocketsphinx-en-us";

/**
 * Whisper models come first, in the manifest's order, then Moonshine models in it, then PocketSphinx. Whisper finds out which
 * language it hears and when its segments were said; the others make English of whatever they hear. What is installed is looked for with each request,
 * so that a model that was just pulled is used; an engine is loaded when it first has something to listen to.
 */
export function createEngines({
  manifest,
  searchPath,
  budgetMb = Infinity,
  memory,
  whisper,
  moonshine,
  onPassedOver,
}: EngineOptions): TranscriptionEngines {
  const opened = new Map<string, TranscriptionEngine>();
  const passedOver = new Set<string>();

  function openOnce(key: string, make: () => TranscriptionEngine): TranscriptionEngine {
    const engine = opened.get(key) ?? make();
    opened.set(key, engine);
    return engine;
  }

  /** By the hashes too, since another version may be installed meanwhile. */
  function openModel(ready: ReadyModel): TranscriptionEngine {
    const { entry, files } = ready;
    const key = [entry.name, ...Array.from(files.values(), ({ sha256 }) => sha256)].join(" ");
    return openOnce(key, () => {
      const own = { entry, files, install: installCommand(entry) };
      const engine = isMoonshine(entry)
        ? createMoonshine(own, moonshine)
        : createWhisper(own, whisper);
      const room = { key, name: entry.name, memoryMb: entry.memory_mb };
      return memory === undefined ? engine : withinMemory(engine, memory, room);
    });
  }

  function findFallback(): TranscriptionEngine | UnavailablePart {
    const found = findPocketsphinx({ searchPath });
    return "status" in found ? found : openOnce(POCKETSPHINX, () => createPocketsphinx(found));
  }

  function findModel(entry: ModelEntry): TranscriptionEngine | UnavailablePart {
    const { name, memory_mb } = entry;
    const resolved = resolveModel(manifest, "transcribe", { name });
    if (resolved.status !== "ready") return resolved;
    if (memory_mb <= budgetMb) return openModel(resolved);
    const reason = `The model ${name} takes ${memory_mb} MB, more than the ${budgetMb} MB that models may take here.`;
    return { status: "unavailable", reason };
  }

  const listed = manifest.models.filter(({ task }) => task === "transcribe");
  const entries = listed.toSorted((a, b) => Number(isMoonshine(a)) - Number(isMoonshine(b)));

  /** Installed, in whatever state. */
  function isHere(entry: ModelEntry): boolean {
    const folder = folderOf(entry, manifest.folder ?? defaultModelsFolder);
    return folder !== undefined && existsSync(folder);
  }

  /** All that can be used, the best first, or why there is nothing. */
  function findAll(): TranscriptionEngine[] | UnavailablePart {
    const engines: TranscriptionEngine[] = [];
    let faulty: UnavailablePart | undefined;
    for (const entry of entries) {
      const found = findModel(entry);
      if (!("status" in found)) {
        engines.push(found);
      } else if (isHere(entry)) {
        faulty ??= found;
        if (!passedOver.has(found.reason)) onPassedOver?.(found.reason);
        passedOver.add(found.reason);
      }
    }
    const fallback = findFallback();
    if (!("status" in fallback)) engines.push(fallback);
    else if (engines.length === 0) return faulty ?? fallback;
    return engines;
  }

  function findNamed(name: string): TranscriptionEngine | UnavailablePart {
    if (name === POCKETSPHINX) return findFallback();
    const entry = entries.find((own) => own.name === name);
    if (entry !== undefined) return findModel(entry);
    const known = [...entries.map((own) => own.name), POCKETSPHINX].join(", ");
    return { status: "unavailable", reason: `There is no model ${name}, but ${known}.` };
  }

  function byName(name: string): TranscriptionEngine {
    const found = findNamed(name);
    if (!("status" in found)) return found;
    const { reason, install } = found;
    const mend = install === undefined ? "" : ` To install it: ${install}`;
    throw new TranscriptionRefusal("model_unavailable", `${reason}${mend}`);
  }

  return {
    async choose({ model, language }) {
      const named = model !== undefined && !bestModels.includes(model);
      const candidates = named ? [byName(model)] : findAll();
      if ("status" in candidates) return candidates;
      if (language === undefined) return candidates[0]!;
      const known = new Set<string>();
      for (const engine of candidates) {
        const own = await engine.languages();
        if (own.includes(language)) return engine;
        for (const code of own) known.add(code);
      }
      throw new TranscriptionRefusal(
        "language_unsupported",
        `${named ? `The model ${model}` : "What is installed here"} does not know the language ${language}, but ${[...known].join(", ")}.`,
      );
    },
    async close() {
      await Promise.all(Array.from(opened.values(), (engine) => engine.close()));
    },
  };
}

function isMoonshine({ transcriber }: ModelEntry): boolean {
  return transcriber === "moonshine";
}

/** Has room for the model while something is transcribed; all recordings share one copy. */
function withinMemory(
  engine: UnloadableEngine,
  memory: ModelMemory,
  room: ModelRoom,
): TranscriptionEngine {
  return {
    ...engine,
    async transcribe(audio, utterances, options) {
      if (utterances.length === 0) return [];
      const letGo = await memory.hold(room, () => engine.unload(), options.signal);
      try {
        return await engine.transcribe(audio, utterances, options);
      } finally {
        letGo();
      }
    },
  };
}

import { z } from "zod";
import type { ModelEntry } from "../../models/model-entry.ts";
import type { ReadyModel } from "../../models/resolve-model.ts";
import { readVoiceJson } from "../neural/read-voice-file.ts";

export const PAD = "_";
export const BEGIN = "^";
export const END = "$";

/** The JSON beside a Piper voice's graph, as far as it is used here. */
const PiperConfig = z
  .object({
    audio: z.object({ sample_rate: z.int().min(8000).max(48_000) }),
    espeak: z.object({ voice: z.string() }).optional(),
    language: z.object({ code: z.string() }).optional(),
    inference: z
      .object({
        noise_scale: z.number().min(0).max(10).default(0.667),
        length_scale: z.number().positive().max(10).default(1),
        noise_w: z.number().min(0).max(10).default(0.8),
      })
      .prefault({}),
    /** Absent in old configs; `text` would want letters. */
    phoneme_type: z
      .literal("espeak", { error: "is not espeak: other symbols are not made here" })
      .default("espeak"),
    phoneme_id_map: z
      .record(z.string(), z.array(z.int().nonnegative()).min(1))
      .refine((map) => [PAD, BEGIN, END].every((symbol) => Object.hasOwn(map, symbol)), {
        error: `lacks one of ${PAD} ${BEGIN} ${END}`,
      }),
    num_speakers: z.int().positive().max(10_000).default(1),
    speaker_id_map: z.record(z.string(), z.int().nonnegative()).default({}),
  })
  .refine(
    ({ num_speakers, speaker_id_map }) =>
      Object.values(speaker_id_map).every((id) => id < num_speakers),
    { path: ["speaker_id_map"], error: "names more speakers than there are" },
  );
export type PiperConfig = z.infer<typeof PiperConfig>;

/** Where the config of this layout lies: beside the graph, which is the first file. Undefined for another layout. */
export function piperConfigPath({ files }: Pick<ModelEntry, "files">): string | undefined {
  const path = `${files[0]?.path}.json`;
  return files.some((file) => file.path === path) ? path : undefined;
}

/** @throws {SynthesisError} voice_model_missing | voice_model_corrupt */
export function readPiperConfig(model: ReadyModel): PiperConfig {
  return readVoiceJson(model, piperConfigPath(model.entry) ?? "config", PiperConfig);
}

/** BCP 47: “en_US” → “en-US”; “en-us” of old configs too. */
export function piperLanguage({ language, espeak }: PiperConfig): string {
  const [tongue = "en", place] = (language?.code ?? espeak?.voice ?? "en").split(/[_-]/);
  return place === undefined
    ? tongue.toLowerCase()
    : `${tongue.toLowerCase()}-${place.toUpperCase()}`;
}

/** A voice of a Piper model, and the number of its speaker. */
export interface PiperVoice {
  id: string;
  speaker: number;
  aliases: string[];
}

/**
 * The voices of a config: one by the model's own name; or, where it has several speakers, `NAME:SPEAKER` for each, of which
 * the first is meant by the model's name too.
 */
export function piperVoices(name: string, config: PiperConfig): PiperVoice[] {
  const speakers = Object.entries(config.speaker_id_map).filter(([speaker]) =>
    /^[\w.-]{1,64}$/.test(speaker),
  );
  const voices = speakers.map(([speaker, id]) => ({
    id: `${name}:${speaker}`,
    speaker: id,
    aliases: id === 0 ? [name] : [],
  }));
  const isNamed = voices.some(({ aliases }) => aliases.length > 0);
  return isNamed && config.num_speakers > 1 ? voices : [{ id: name, speaker: 0, aliases: [] }];
}

import type { ModelEntry } from "../../models/model-entry.ts";

export const KOKORO_TOKENIZER = "tokenizer.json";
export const stylePath = (voice: string): string => `voices/${voice}.bin`;

/** A voice of Kokoro, as far as its name tells: “af_heart” is American, female, and called Heart. */
export interface KokoroVoice {
  id: string;
  name: string;
  /** BCP 47; undefined when the voice speaks no English. */
  language: "en-US" | "en-GB" | undefined;
  sex: "female" | "male" | "unknown";
}

/** The voices that a model of this layout brings, whether it is installed or not; none for a model of another layout. */
export function kokoroVoices({ files }: Pick<ModelEntry, "files">): KokoroVoice[] {
  if (!files.some(({ path }) => path === KOKORO_TOKENIZER)) return [];
  return files.flatMap(({ path }) => {
    const [, id] = /^voices\/([a-z0-9_-]+)\.bin$/i.exec(path) ?? [];
    return id === undefined ? [] : [describe(id)];
  });
}

function describe(id: string): KokoroVoice {
  const [, accent, sex, name = id] = /^([a-z])([fm])_(.+)$/.exec(id) ?? [];
  const language = accent === "a" ? "en-US" : accent === "b" ? "en-GB" : undefined;
  return {
    id,
    name: name.charAt(0).toUpperCase() + name.slice(1),
    language,
    sex: sex === "f" ? "female" : sex === "m" ? "male" : "unknown",
  };
}

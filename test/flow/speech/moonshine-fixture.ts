import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installTinyModel } from "./whisper-fixture.ts";
import type { TinyModel, TinyModelEntry } from "./whisper-fixture.ts";

/** A Moonshine of random weights, made by scripts/make-tiny-models. */
export const tinyMoonshineFolder = fileURLToPath(
  new URL("../../fixtures/moonshine-tiny-random", import.meta.url),
);

/** What PyTorch's transformers makes of recordings with the weights of the tiny Moonshine. */
export interface MoonshineReference {
  recordings: Record<
    string,
    {
      samples: number;
      padded: number;
      encoder: {
        positions: number;
        rows: Record<string, number[]>;
        magnitude: number;
        deviation: number;
      };
      /** With the end token, where there is one. */
      tokens: number[];
      average_logprob: number;
      text: string;
    }
  >;
}

export async function readMoonshineReference(): Promise<MoonshineReference> {
  const text = await readFile(join(tinyMoonshineFolder, "reference.json"), "utf8");
  return JSON.parse(text) as MoonshineReference;
}

/** As `installTinyWhisper`. */
export function installTinyMoonshine(
  folder: string,
  more: Partial<TinyModelEntry> = {},
): Promise<TinyModel> {
  return installTinyModel(tinyMoonshineFolder, folder, {
    name: "moonshine-tiny-random",
    transcriber: "moonshine",
    languages: ["en"],
    ...more,
  });
}

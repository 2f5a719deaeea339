import { createHash } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ModelManifest } from "../../../regions/speech/models/load-manifest.ts";
import { folderName } from "../../../regions/speech/models/models-folder.ts";

const fixtures = fileURLToPath(new URL("../../fixtures/tiny-voices", import.meta.url));

interface Spoken {
  text: string;
  ipa: string;
  speed: number;
  length: number;
  /** Every so many, from the first on. */
  samples: number[];
}

/** What numpy makes of texts with the weights of the tiny voices; see scripts/make-tiny-voices. */
export interface VoicesReference {
  every: number;
  kokoro: Spoken[];
  piper: (Spoken & { dropped: number; speaker: number })[];
  piper_speakers: (Spoken & { dropped: number; speaker: number })[];
}

export const voicesReference = JSON.parse(
  readFileSync(join(fixtures, "reference.json"), "utf8"),
) as VoicesReference;

const STYLE = 256;

/** A voice of Kokoro, too large to be kept: simple fractions, which the reference was made with too. */
export function styleFile(rows = 510): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: rows * STYLE }, (_, i) => {
    const row = Math.floor(i / STYLE);
    return (((row * 31 + (i % STYLE) * 17) % 257) - 128) / 128;
  });
}

export const KOKORO = { name: "tiny-kokoro", version: "1" };
export const PIPER = { name: "tiny-piper", version: "1" };
export const SPEAKERS = { name: "tiny-speakers", version: "1" };

/** Voices of random weights, installed in a folder of their own, with a manifest that knows them as they now are. */
export function installTinyVoices() {
  const folder = mkdtempSync(join(tmpdir(), "antiphon-voices-"));
  const homes = {
    kokoro: join(folder, folderName(KOKORO)),
    piper: join(folder, folderName(PIPER)),
    speakers: join(folder, folderName(SPEAKERS)),
  };
  cpSync(join(fixtures, "kokoro"), homes.kokoro, { recursive: true });
  for (const voice of ["af_heart", "bm_george", "ef_dora"]) {
    write(homes.kokoro, `voices/${voice}.bin`, new Uint8Array(styleFile().buffer));
  }
  // British George differs from Heart, if only a little.
  const george = styleFile().map((value) => -value);
  write(homes.kokoro, "voices/bm_george.bin", new Uint8Array(george.buffer));
  for (const [home, name] of [
    [homes.piper, "tiny"],
    [homes.speakers, "tiny-speakers"],
  ] as const) {
    for (const file of [`${name}.onnx`, `${name}.onnx.json`]) {
      write(home, file, readFileSync(join(fixtures, "piper", file)));
    }
  }

  function entry({ name, version }: typeof KOKORO, first: string): ModelManifest["models"][number] {
    const home = join(folder, folderName({ name, version }));
    const paths = readdirSync(home, { recursive: true, encoding: "utf8" })
      .filter((path) => statSync(join(home, path)).isFile())
      .toSorted((a, b) => Number(b === first) - Number(a === first) || (a < b ? -1 : 1));
    return {
      name,
      version,
      task: "synthesize",
      source: { type: "huggingface", repo: "tiny/voices", revision: "0".repeat(40) },
      files: paths.map((path) => {
        const bytes = readFileSync(join(home, path));
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        return { path, bytes: bytes.length, sha256 };
      }),
      licence: "Apache-2.0",
      commercial_use: true,
      memory_mb: 1,
    };
  }

  return {
    folder,
    /** What is there now, with its hashes. */
    manifest: (): ModelManifest => ({
      models: [
        entry(KOKORO, "onnx/model.onnx"),
        entry(PIPER, "tiny.onnx"),
        entry(SPEAKERS, "tiny-speakers.onnx"),
      ],
      folder,
    }),
    /** Puts a file into a model. */
    put: (model: keyof typeof homes, path: string, bytes: Uint8Array | string) =>
      write(homes[model], path, bytes),
    read: (model: keyof typeof homes, path: string) => readFileSync(join(homes[model], path)),
    /** Takes a model away. */
    remove: (model: keyof typeof homes) => rmSync(homes[model], { recursive: true }),
    drop: () => rmSync(folder, { recursive: true }),
  };
}

function write(home: string, path: string, bytes: Uint8Array | string): void {
  mkdirSync(dirname(join(home, path)), { recursive: true });
  writeFileSync(join(home, path), bytes);
}

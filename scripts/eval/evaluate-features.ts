import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { egemapsNames } from "../../shared/contracts/egemaps-names.ts";
import { createDecoder } from "../../regions/speech/decode/decoder.ts";
import { createEgemaps } from "../../regions/speech/features/egemaps.ts";
import { compareSeries } from "./compare-series.ts";
import type { Comparison } from "./compare-series.ts";
import { parseReference } from "./parse-reference.ts";

export interface FeatureEvaluation {
  clips: number;
  /** One for each feature, in openSMILE's order. */
  features: { name: string; comparison: Comparison }[];
}

export interface EvaluateFeaturesOptions {
  /** Folder that holds CLIP.wav for each clip of the reference; the fixtures when absent. */
  dir?: string | undefined;
  /** Reference figures; see parseReference. */
  csv?: string | undefined;
  signal?: AbortSignal;
}

const fixtures = join(import.meta.dirname, "../../test/fixtures/egemaps");

/** Computes the features of every clip of a reference and compares each feature over the clips. */
export async function evaluateFeatures(
  options: EvaluateFeaturesOptions,
): Promise<FeatureEvaluation> {
  const { dir = fixtures, csv = join(fixtures, "egemaps.csv"), signal } = options;
  const reference = parseReference(await readFile(csv, "utf8"));
  const decoder = createDecoder();
  try {
    const ours: Record<string, number>[] = [];
    for (const { clip } of reference) {
      const egemaps = createEgemaps();
      const path = join(dir, `${clip}.wav`);
      for await (const block of decoder.decode(path, signal === undefined ? {} : { signal })) {
        egemaps.push(block);
      }
      ours.push(egemaps.finish().features);
    }
    return {
      clips: reference.length,
      features: egemapsNames.map((name) => ({
        name,
        comparison: compareSeries(
          ours.map((features) => features[name] ?? Number.NaN),
          reference.map(({ values }) => values.get(name) ?? Number.NaN),
        ),
      })),
    };
  } finally {
    await decoder.close();
  }
}

import { AnalysisResult } from "../../shared/contracts/analysis-result.ts";
import type { ComposedAnalysis } from "../../shared/contracts/compose-analysis.ts";
import { labelOf, StageName } from "../../shared/contracts/stages.ts";

export interface BuildResult extends Pick<
  AnalysisResult,
  "timings_ms" | "cost" | "epoch" | "region"
> {
  analysis: ComposedAnalysis;
  /** Stages that did not run for this result, for what they give was known. */
  known: readonly StageName[];
  upload: { sha256: string; bytes: number };
}

/** The result of a run: what the recording says, and how that was come by. */
export function buildResult(built: BuildResult): AnalysisResult {
  const { analysis, known, upload, timings_ms, cost, epoch, region } = built;
  const used = StageName.options.filter((stage) => labelOf(stage) in analysis.engines);
  return AnalysisResult.parse({
    ...analysis,
    audio: { ...analysis.audio, sha256: upload.sha256, bytes: upload.bytes },
    cache: Object.fromEntries(
      used.map((stage) => [labelOf(stage), known.includes(stage) ? "hit" : "miss"]),
    ),
    timings_ms,
    cost,
    epoch,
    region,
  });
}

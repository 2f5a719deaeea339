import { AnalysisResult } from "../../shared/contracts/analysis-result.ts";
import type { ComposedAnalysis } from "../../shared/contracts/compose-analysis.ts";
import { labelOf, StageName } from "../../shared/contracts/stages.ts";

export interface BuildResult extends Pick<
  AnalysisResult,
  "timings_ms" | "cost" | "epoch" | "region"
> {
  analysis: ComposedAnalysis;
  /** Stages that ran for this result; what the others gave was known. */
  ran: readonly StageName[];
  upload: { sha256: string; bytes: number };
}

/** The result of a run: what the recording says, and how that was come by. */
export function buildResult(built: BuildResult): AnalysisResult {
  const { analysis, ran, upload, timings_ms, cost, epoch, region } = built;
  const used = StageName.options.filter((stage) => labelOf(stage) in analysis.engines);
  return AnalysisResult.parse({
    ...analysis,
    audio: { ...analysis.audio, sha256: upload.sha256, bytes: upload.bytes },
    cache: Object.fromEntries(
      used.map((stage) => [labelOf(stage), ran.includes(stage) ? "miss" : "hit"]),
    ),
    timings_ms,
    cost,
    epoch,
    region,
  });
}

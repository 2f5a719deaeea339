import type { AnalysisResult, Engine } from "./analysis-result.ts";
import type { AnalysisPart } from "./job.ts";
import type { StagePlan, Stages } from "./stages.ts";

/** What a recording alone decides of an analysis result. */
export type ComposedAnalysis = Pick<AnalysisResult, AnalysisPart | "engines"> & {
  audio: Omit<AnalysisResult["audio"], "sha256" | "bytes">;
};

/**
 * Puts an analysis together from what its stages gave, now or before; undefined when a stage is missing. Stages that
 * nobody asked for are left out, with their engines, unless others were made with them.
 */
export function composeAnalysis(
  parts: readonly AnalysisPart[],
  unavailable: StagePlan["unavailable"],
  stages: Stages,
): ComposedAnalysis | undefined {
  if (stages.decode === undefined) return undefined;
  const engines: Record<string, Engine> = { ...stages.decode.engines };
  const made: Partial<Record<AnalysisPart, unknown>> = {};
  for (const part of parts) {
    const stage = stages[part];
    if (stage !== undefined) {
      Object.assign(engines, stage.engines);
      made[part] = stage.value;
    } else if (unavailable[part] !== undefined) {
      made[part] = unavailable[part];
    } else {
      return undefined;
    }
  }
  return { audio: stages.decode.value, ...(made as Pick<AnalysisResult, AnalysisPart>), engines };
}

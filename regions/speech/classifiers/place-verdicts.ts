import type { Engine, UnavailablePart } from "../../../shared/contracts/analysis-result.ts";
import type { StagePlan, Stages } from "../../../shared/contracts/stages.ts";
import type { Verdicts } from "./create-voice-classifiers.ts";

export interface PlacedVerdicts {
  /** What the stages gave that may be kept for the same recording. */
  made: Stages;
  /** What is true of this run alone, because a model is at fault. */
  once: Stages;
  unavailable: StagePlan["unavailable"];
}

/**
 * Puts the verdicts of models where a result has them: age and sex are parts of their own, emotion stands beside what the rule
 * measured. Where the rule measured nothing there is nothing to stand beside.
 *
 * @param made what the other stages gave
 * @param heardBy the engine that told where speech was
 * @param noVerdict why no model hears emotion here, where none does
 */
export function placeVerdicts(
  verdicts: Verdicts,
  made: Stages,
  heardBy: Record<string, Engine>,
  noVerdict: UnavailablePart | undefined,
): PlacedVerdicts {
  const placed: PlacedVerdicts = { made: { ...made }, once: {}, unavailable: {} };
  const { age, sex, emotion } = verdicts;
  if (age !== undefined && !age.faulty) {
    placed.made.age = { engines: { ...heardBy, age: age.engine }, value: age.value };
  }
  if (sex !== undefined && !sex.faulty) {
    placed.made.sex = { engines: { ...heardBy, sex: sex.engine }, value: sex.value };
  }
  for (const [part, verdict] of [["age", age] as const, ["sex", sex] as const]) {
    if (verdict?.faulty === true && "status" in verdict.value) {
      placed.unavailable[part] = verdict.value;
    }
  }
  const measured = made.emotion;
  const classified = emotion?.value ?? noVerdict;
  if (measured === undefined || "status" in measured.value || classified === undefined) {
    return placed;
  }
  const both = {
    engines: {
      ...measured.engines,
      ...(emotion === undefined || emotion.faulty ? {} : { emotion_classifier: emotion.engine }),
    },
    value: { ...measured.value, classified },
  };
  if (emotion?.faulty === true) {
    delete placed.made.emotion;
    placed.once.emotion = both;
  } else {
    placed.made.emotion = both;
  }
  return placed;
}

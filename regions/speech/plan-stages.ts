import type { Engine, UnavailablePart } from "../../shared/contracts/analysis-result.ts";
import type { AnalysisPart } from "../../shared/contracts/job.ts";
import type { StagePlan } from "../../shared/contracts/stages.ts";
import type { ClassifiedPart, VoiceClassifiers } from "./classifiers/create-voice-classifiers.ts";
import { decoderIdentity } from "./decode/decoder-identity.ts";
import type { ResolvedModel } from "./models/resolve-model.ts";
import type { TranscriptRequest } from "./transcription/choose-engine.ts";
import type { Transcriber } from "./transcription/create-transcriber.ts";
import { defaultSegmentOptions } from "./voice-activity/segment-speech.ts";

/** The parts that one pass over the samples gives, and what makes each. A version is raised when it gives something else. */
export const measuredParts = {
  features: { name: "antiphon-egemaps", version: "1", model_sha256: null },
  speaking_rate: { name: "antiphon-syllable-nuclei", version: "1", model_sha256: null },
  emotion: { name: "antiphon-arousal-rules", version: "1", model_sha256: null },
} as const satisfies Partial<Record<AnalysisPart, Engine>>;
export type MeasuredPart = keyof typeof measuredParts;

/** Parts that a trained model gives, alone or beside what is measured. */
export const isClassified = (part: AnalysisPart): part is ClassifiedPart =>
  part === "emotion" || part === "age" || part === "sex";

export const isMeasured = (part: AnalysisPart): part is MeasuredPart => part in measuredParts;

/** Parts that take account of where speech is, and are made without it where its model is not here. */
export const partsOverSpeech: readonly AnalysisPart[] = [
  "voice_activity",
  "speaking_rate",
  "emotion",
  "transcript",
  "age",
  "sex",
];

/** To be raised when our own part in these gives something else than before, by the same engine. */
const VOICE_REVISION = 1;
const TRANSCRIPT_REVISION = 1;

export interface PlanStagesOptions extends TranscriptRequest {
  parts: readonly AnalysisPart[];
  voiceModel: ResolvedModel;
  transcriber: Transcriber | undefined;
  classifiers: VoiceClassifiers;
  maxDurationS: number;
}

/**
 * What would make each part here, and which of them nothing can.
 * @throws {TranscriptionRefusal} what was asked for cannot be had here
 * @throws {TranscriberError} an engine that cannot be asked
 */
export async function planStages(options: PlanStagesOptions): Promise<StagePlan> {
  const { parts, voiceModel, transcriber, classifiers, maxDurationS, language, model } = options;
  const decode = decoderIdentity(maxDurationS);
  const voice =
    voiceModel.status === "ready"
      ? [voiceEngine(voiceModel.model), defaultSegmentOptions, VOICE_REVISION]
      : null;
  const identities: StagePlan["identities"] = { decode };
  const unavailable: StagePlan["unavailable"] = {};
  if (voice !== null && parts.some((part) => partsOverSpeech.includes(part))) {
    identities.voice_activity = JSON.stringify([decode, voice]);
  }

  for (const part of new Set(parts)) {
    if (isMeasured(part)) {
      const heard = partsOverSpeech.includes(part) ? [voice] : [];
      const beside = part === "emotion" ? [classifiers.find(part)] : [];
      identities[part] = JSON.stringify([decode, measuredParts[part], ...heard, ...beside]);
    } else if (part === "transcript" && transcriber !== undefined) {
      const engine = await transcriber.describe({ language, model });
      if ("status" in engine) unavailable.transcript = engine;
      else if (voiceModel.status !== "ready") unavailable.transcript = voiceModel;
      else {
        const asked = [engine, language ?? null, TRANSCRIPT_REVISION];
        identities.transcript = JSON.stringify([decode, asked, voice]);
      }
    } else if (part === "age" || part === "sex") {
      const judge = classifiers.find(part);
      if ("status" in judge) unavailable[part] = judge;
      else if (voiceModel.status !== "ready") unavailable[part] = voiceModel;
      else identities[part] = JSON.stringify([decode, judge.identity, voice]);
    } else if (part !== "voice_activity") {
      unavailable[part] = noEngine(part);
    } else if (voiceModel.status !== "ready") {
      unavailable.voice_activity = voiceModel;
    }
  }
  return { identities, unavailable };
}

export function voiceEngine(model: { name: string; version: string; sha256: string }): Engine {
  return { name: model.name, version: model.version, model_sha256: model.sha256 };
}

function noEngine(part: AnalysisPart): UnavailablePart {
  return { status: "unavailable", reason: `No engine for ${part} is part of this version.` };
}

import type {
  AcousticFeatures,
  AudioFacts,
  AudioLevel,
  Emotion,
  Engine,
  SpeakingRate,
  Transcript,
  UnavailablePart,
  VoiceActivity,
} from "../../shared/contracts/analysis-result.ts";
import type { AnalysisPart } from "../../shared/contracts/job.ts";
import type { AudioInfo } from "./decode/audio-info.ts";
import { checkDeclaredType } from "./decode/check-declared-type.ts";
import type { Decoder } from "./decode/decoder.ts";
import { SAMPLE_RATE } from "./decode/sample-format.ts";
import type { FeaturesThread } from "./features/create-features-thread.ts";
import { feedStages, LOOK_AHEAD } from "./feed-stages.ts";
import type { Inference } from "./inference/create-inference-thread.ts";
import { runtimeModelOf } from "./inference/runtime-model.ts";
import type { LevelMeasure } from "./levels/level-measure.ts";
import type { VoiceMeasures } from "./measure-voice.ts";
import { loadManifest } from "./models/load-manifest.ts";
import type { ModelManifest } from "./models/load-manifest.ts";
import { resolveModel } from "./models/resolve-model.ts";
import type { ResolvedModel } from "./models/resolve-model.ts";
import type { Transcriber } from "./transcription/create-transcriber.ts";
import { createVoiceActivity } from "./voice-activity/create-voice-activity.ts";
import { createVoiceStreams } from "./voice-activity/create-voice-streams.ts";
import type { VoiceStreamsOptions } from "./voice-activity/create-voice-streams.ts";

export interface AnalyzerOptions {
  decoder: Decoder;
  inference: Inference;
  features: FeaturesThread;
  /** Without it, and without an engine in it, the part `transcript` is unavailable. */
  transcriber?: Transcriber;
  /** Models to choose from; the manifest that ships when absent. */
  manifest?: ModelManifest;
  /** Longest recording that is analysed, seconds. */
  maxDurationS?: number;
  /** Told when a model gave a recording something else in a batch than alone. */
  onDeviation?: VoiceStreamsOptions["onDeviation"];
}

export interface AnalyzeOptions {
  parts: readonly AnalysisPart[];
  /** The content type under which the recording was sent. */
  declaredContentType?: string | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: AnalysisProgress) => void) | undefined;
}

export interface AnalysisProgress {
  decoded_s: number;
  /** In [0, 1], of all the work; absent when the container does not say how long the recording is. */
  fraction?: number;
}

/** The part of an analysis result that the audio alone decides. */
export interface Analysis {
  audio: Omit<AudioFacts, "sha256" | "bytes">;
  voice_activity?: VoiceActivity | UnavailablePart;
  features?: AcousticFeatures | UnavailablePart;
  speaking_rate?: SpeakingRate | UnavailablePart;
  emotion?: Emotion | UnavailablePart;
  transcript?: Transcript | UnavailablePart;
  age?: UnavailablePart;
  sex?: UnavailablePart;
  engines: Record<string, Engine>;
  /** Computing time by stage; stages run at the same time, so the sum may exceed `total`. */
  timings_ms: Record<string, number>;
}

/** The parts that one pass over the samples gives, and what makes each. */
const measuredParts = {
  features: { name: "antiphon-egemaps", version: "1", model_sha256: null },
  speaking_rate: { name: "antiphon-syllable-nuclei", version: "1", model_sha256: null },
  emotion: { name: "antiphon-arousal-rules", version: "1", model_sha256: null },
} as const satisfies Partial<Record<AnalysisPart, Engine>>;
type MeasuredPart = keyof typeof measuredParts;

/** Parts that take account of where speech is, and are made without it where its model is not here. */
const partsOverSpeech: readonly AnalysisPart[] = [
  "voice_activity",
  "speaking_rate",
  "emotion",
  "transcript",
];

/** Share of the work that is over when a recording is decoded, where its words are still to come. */
const DECODE_SHARE = 0.1;

export interface Analyzer {
  /**
   * Decodes a local file once and feeds every stage that was asked for.
   * @throws {AudioError} the recording is at fault
   * @throws {DecoderError | InferenceError | FeaturesError} the machinery is; see their `retryable`
   */
  analyze(path: string, options: AnalyzeOptions): Promise<Analysis>;
}

export function createAnalyzer(options: AnalyzerOptions): Analyzer {
  const { transcriber } = options;
  const { decoder, inference, features, maxDurationS = 8 * 3600, onDeviation } = options;
  const { manifest = loadManifest() } = options;
  const voiceModel = resolveModel(manifest, "voice_activity");
  /** One for all analyses: those that run at the same time share calls of the model. */
  const streams =
    voiceModel.status === "ready"
      ? createVoiceStreams({ inference, model: runtimeModelOf(voiceModel), onDeviation })
      : undefined;

  async function analyze(path: string, job: AnalyzeOptions): Promise<Analysis> {
    const start = performance.now();
    const failed = new AbortController();
    const signal =
      job.signal === undefined ? failed.signal : AbortSignal.any([job.signal, failed.signal]);
    const measured = job.parts.filter((part) => part in measuredParts) as MeasuredPart[];
    const voice =
      streams !== undefined && job.parts.some((part) => partsOverSpeech.includes(part))
        ? createVoiceActivity({ streams, signal })
        : undefined;
    const recording = measured.length === 0 ? undefined : features.open({ signal });
    const dictation =
      job.parts.includes("transcript") &&
      voice !== undefined &&
      transcriber !== undefined &&
      transcriber.unavailable === undefined
        ? transcriber.open({ signal })
        : undefined;
    const decodeShare = dictation === undefined ? 1 : DECODE_SHARE;
    let info: AudioInfo | undefined;
    let expected_s: number | null = null;
    let samples = 0;
    const blocks = decoder.decode(path, {
      signal,
      maxDurationS,
      reuseAfter: LOOK_AHEAD,
      onHeader: (header) => {
        checkDeclaredType(job.declaredContentType, header);
        expected_s = header.expected_duration_s;
      },
      onInfo: (complete) => {
        info = complete;
      },
    });
    try {
      const stages = [voice, recording, dictation].filter((stage) => stage !== undefined);
      await feedStages(blocks, stages, {
        onBlock: (block) => {
          samples += block.length;
          job.onProgress?.(progressOf(samples / SAMPLE_RATE, expected_s, decodeShare));
        },
      });
      const voice_activity = await voice?.finish();
      const measures = await recording?.finish(voice_activity?.segments);
      const dictated = await dictation?.finish(voice_activity?.segments ?? [], (fraction) =>
        job.onProgress?.({
          decoded_s: samples / SAMPLE_RATE,
          fraction: decodeShare + (1 - decodeShare) * fraction,
        }),
      );
      if (info === undefined) throw new TypeError("The decoder ended without its info.");
      return {
        audio: toAudioFacts(info),
        ...unavailableParts(job.parts, voiceModel, transcriber),
        ...(voice_activity !== undefined && job.parts.includes("voice_activity")
          ? { voice_activity }
          : {}),
        ...pick(measures, measured),
        ...(dictated === undefined ? {} : { transcript: dictated.transcript }),
        engines: {
          ...enginesOf(info, voice === undefined ? undefined : voiceModel),
          ...pick(measuredParts, measured),
          ...(dictated === undefined ? {} : { transcribe: dictated.engine }),
        },
        timings_ms: {
          decode: round(info.decode_ms),
          ...(voice === undefined ? {} : { voice_activity: round(voice.inferenceMs()) }),
          ...(recording === undefined ? {} : { features: round(recording.computeMs()) }),
          ...(dictation === undefined ? {} : { transcribe: round(dictation.computeMs()) }),
          total: round(performance.now() - start),
        },
      };
    } finally {
      failed.abort();
      voice?.close();
      recording?.drop();
      await dictation?.drop();
    }
  }

  return { analyze };
}

function progressOf(decoded_s: number, expected_s: number | null, share: number): AnalysisProgress {
  return expected_s === null
    ? { decoded_s }
    : { decoded_s, fraction: share * Math.min(1, decoded_s / expected_s) };
}

function toAudioFacts(info: AudioInfo): Omit<AudioFacts, "sha256" | "bytes"> {
  const { duration_s, sample_rate_hz, channels, codec, container } = info;
  return { duration_s, sample_rate_hz, channels, codec, container, level: toLevel(info.level) };
}

function toLevel({ rms_dbfs, peak_dbfs, silent, clipping }: LevelMeasure): AudioLevel {
  return { rms_dbfs, peak_dbfs, silent, clipping };
}

function pick<T extends VoiceMeasures | typeof measuredParts>(
  all: T | undefined,
  parts: readonly MeasuredPart[],
): Partial<Pick<T, MeasuredPart>> {
  return all === undefined
    ? {}
    : (Object.fromEntries(parts.map((part) => [part, all[part]])) as Partial<
        Pick<T, MeasuredPart>
      >);
}

/** Parts without an engine in this version, or whose model is not here. */
function unavailableParts(
  parts: readonly AnalysisPart[],
  voiceModel: ResolvedModel,
  transcriber: Transcriber | undefined,
): Partial<Record<Exclude<AnalysisPart, MeasuredPart>, UnavailablePart>> {
  const missing = parts.flatMap((part): [AnalysisPart, UnavailablePart][] => {
    if (part in measuredParts) return [];
    if (part === "voice_activity") return voiceModel.status === "ready" ? [] : [[part, voiceModel]];
    if (part === "transcript" && transcriber !== undefined) {
      // Only where speech is known is an engine listened to: of silence it makes words.
      const { unavailable } = transcriber;
      if (unavailable !== undefined) return [[part, unavailable]];
      return voiceModel.status === "ready" ? [] : [[part, voiceModel]];
    }
    return [
      [part, { status: "unavailable", reason: `No engine for ${part} is part of this version.` }],
    ];
  });
  return Object.fromEntries(missing);
}

function enginesOf(info: AudioInfo, voiceModel: ResolvedModel | undefined): Record<string, Engine> {
  const decode = { name: "ffmpeg", version: info.decoder_version, model_sha256: null };
  if (voiceModel?.status !== "ready") return { decode };
  const { name, version, sha256 } = voiceModel.model;
  return { decode, voice_activity: { name, version, model_sha256: sha256 } };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

import type { AudioFacts, AudioLevel, Engine } from "../../shared/contracts/analysis-result.ts";
import { composeAnalysis, type ComposedAnalysis } from "../../shared/contracts/compose-analysis.ts";
import type { AnalysisPart } from "../../shared/contracts/job.ts";
import type { StagePlan, Stages } from "../../shared/contracts/stages.ts";
import type { AudioInfo } from "./decode/audio-info.ts";
import { createVoiceClassifiers } from "./classifiers/create-voice-classifiers.ts";
import { placeVerdicts } from "./classifiers/place-verdicts.ts";
import { checkDeclaredType } from "./decode/check-declared-type.ts";
import type { Decoder } from "./decode/decoder.ts";
import { SAMPLE_RATE } from "./decode/sample-format.ts";
import type { FeaturesThread } from "./features/create-features-thread.ts";
import { feedStages, LOOK_AHEAD } from "./feed-stages.ts";
import type { Inference } from "./inference/create-inference-thread.ts";
import { runtimeModelOf } from "./inference/runtime-model.ts";
import type { LevelMeasure } from "./levels/level-measure.ts";
import { loadManifest } from "./models/load-manifest.ts";
import type { ModelManifest } from "./models/load-manifest.ts";
import { resolveModel } from "./models/resolve-model.ts";
import {
  isClassified,
  isMeasured,
  measuredParts,
  partsOverSpeech,
  planStages,
  voiceEngine,
} from "./plan-stages.ts";
import type { TranscriptRequest } from "./transcription/choose-engine.ts";
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
  /** Existing folder for what has to be on disk for a while; the system's when absent. */
  folder?: string;
  /** Longest recording that is analysed, seconds. */
  maxDurationS?: number;
  /** Told when a model gave a recording something else in a batch than alone. */
  onDeviation?: VoiceStreamsOptions["onDeviation"];
}

export interface AnalyzeOptions extends TranscriptRequest {
  parts: readonly AnalysisPart[];
  /** What stages gave for this very recording before; they are not run again. */
  known?: Stages | undefined;
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
export interface Analysis extends ComposedAnalysis {
  /** Computing time by stage, of those that ran; they run at the same time, so the sum may exceed `total`. */
  timings_ms: Record<string, number>;
  /** What the stages that ran gave, those included that others needed. */
  made: Stages;
}

/** Share of the work that is over when a recording is decoded, where its words are still to come. */
const DECODE_SHARE = 0.1;

export interface Analyzer {
  /**
   * What would make the parts that are asked for, here and now.
   * @throws {TranscriptionRefusal} what was asked for cannot be had here
   * @throws {TranscriberError} an engine that cannot be asked
   */
  plan(options: Pick<AnalyzeOptions, "parts" | keyof TranscriptRequest>): Promise<StagePlan>;
  /**
   * Decodes a local file once and feeds every stage that was asked for and is not known; where all are, the file is not read.
   * @throws {AudioError} the recording is at fault
   * @throws {TranscriptionRefusal} what was asked for cannot be had here
   * @throws {DecoderError | InferenceError | FeaturesError | TranscriberError} the machinery is; see their `retryable`
   */
  analyze(path: string, options: AnalyzeOptions): Promise<Analysis>;
}

export function createAnalyzer(options: AnalyzerOptions): Analyzer {
  const { transcriber } = options;
  const { decoder, inference, features, maxDurationS = 8 * 3600, onDeviation } = options;
  const { manifest = loadManifest(), folder } = options;
  const classifiers = createVoiceClassifiers({ inference, manifest, folder, onDeviation });
  const voiceModel = resolveModel(manifest, "voice_activity");
  /** One for all analyses: those that run at the same time share calls of the model. */
  const streams =
    voiceModel.status === "ready"
      ? createVoiceStreams({ inference, model: runtimeModelOf(voiceModel), onDeviation })
      : undefined;
  /** What is said beside each stage over speech: where that was is told by this engine. */
  const heardBy: Record<string, Engine> =
    voiceModel.status === "ready" ? { voice_activity: voiceEngine(voiceModel.model) } : {};

  const emotionModel = classifiers.find("emotion");
  const noEmotionModel =
    "status" in emotionModel
      ? emotionModel
      : voiceModel.status === "ready"
        ? undefined
        : voiceModel;

  const plan: Analyzer["plan"] = ({ parts, language, model }) =>
    planStages({ parts, language, model, voiceModel, transcriber, classifiers, maxDurationS });

  async function analyze(path: string, job: AnalyzeOptions): Promise<Analysis> {
    const start = performance.now();
    const { known = {} } = job;
    const { unavailable } = await plan(job);
    const missing = job.parts.filter((part) => !known[part] && !unavailable[part]);
    const compose = (stages: Stages, more: StagePlan["unavailable"] = {}) =>
      composeAnalysis(job.parts, { ...unavailable, ...more }, stages);
    const total = () => round(performance.now() - start);

    if (known.decode !== undefined && missing.length === 0) {
      checkDeclaredType(job.declaredContentType, known.decode.value);
      const whole = compose(known);
      if (whole !== undefined) return { ...whole, timings_ms: { total: total() }, made: {} };
    }

    const failed = new AbortController();
    const signal =
      job.signal === undefined ? failed.signal : AbortSignal.any([job.signal, failed.signal]);
    const measured = missing.filter(isMeasured);
    const needsVoice = missing.some((part) => partsOverSpeech.includes(part));
    const voice =
      streams !== undefined && needsVoice && known.voice_activity === undefined
        ? createVoiceActivity({ streams, signal })
        : undefined;
    const recording = measured.length === 0 ? undefined : features.open({ signal });
    const { language, model } = job;
    const opened = missing.includes("transcript")
      ? await transcriber?.open({ signal, language, model })
      : undefined;
    const dictation = opened !== undefined && "status" in opened ? undefined : opened;
    // Only where speech is known is a model asked what voice it hears: of noise it makes one.
    const voices =
      streams === undefined
        ? undefined
        : classifiers.open({ parts: missing.filter(isClassified), signal });
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
      const stages = [voice, recording, dictation, voices].filter((stage) => stage !== undefined);
      await feedStages(blocks, stages, {
        onBlock: (block) => {
          samples += block.length;
          job.onProgress?.(progressOf(samples / SAMPLE_RATE, expected_s, decodeShare));
        },
      });
      const voice_activity = (await voice?.finish()) ?? known.voice_activity?.value;
      const measures = await recording?.finish(voice_activity?.segments);
      const speech = voice_activity?.segments ?? [];
      const [dictated, verdicts = {}] = await Promise.all([
        dictation?.finish(speech, (fraction) =>
          job.onProgress?.({
            decoded_s: samples / SAMPLE_RATE,
            fraction: decodeShare + (1 - decodeShare) * fraction,
          }),
        ),
        voices?.finish(speech),
      ]);
      if (info === undefined) throw new TypeError("The decoder ended without its info.");

      const made: Stages = {
        decode: { engines: { decode: engineOf(info) }, value: factsOf(info) },
      };
      if (voice !== undefined && voice_activity !== undefined) {
        made.voice_activity = { engines: heardBy, value: voice_activity };
      }
      for (const part of measures === undefined ? [] : measured) {
        const engines = {
          ...(partsOverSpeech.includes(part) ? heardBy : {}),
          [part]: measuredParts[part],
        };
        Object.assign(made, { [part]: { engines, value: measures?.[part] } });
      }
      if (dictated !== undefined) {
        const engines = { ...heardBy, transcribe: dictated.engine };
        made.transcript = { engines, value: dictated.transcript };
      }
      const placed = placeVerdicts(verdicts, made, heardBy, noEmotionModel);
      const whole = compose({ ...known, ...placed.made, ...placed.once }, placed.unavailable);
      if (whole === undefined) throw new TypeError("A stage of the plan did not run.");
      return {
        ...whole,
        timings_ms: {
          decode: round(info.decode_ms),
          ...(voice === undefined ? {} : { voice_activity: round(voice.inferenceMs()) }),
          ...(recording === undefined ? {} : { features: round(recording.computeMs()) }),
          ...(dictation === undefined ? {} : { transcribe: round(dictation.computeMs()) }),
          ...(voices === undefined ? {} : { classify: round(voices.computeMs()) }),
          total: total(),
        },
        made: placed.made,
      };
    } finally {
      failed.abort();
      voice?.close();
      recording?.drop();
      await dictation?.drop();
      await voices?.drop();
    }
  }

  return { plan, analyze };
}

function progressOf(decoded_s: number, expected_s: number | null, share: number): AnalysisProgress {
  return expected_s === null
    ? { decoded_s }
    : { decoded_s, fraction: share * Math.min(1, decoded_s / expected_s) };
}

function factsOf(info: AudioInfo): Omit<AudioFacts, "sha256" | "bytes"> {
  const { duration_s, sample_rate_hz, channels, codec, container } = info;
  return { duration_s, sample_rate_hz, channels, codec, container, level: toLevel(info.level) };
}

function toLevel({ rms_dbfs, peak_dbfs, silent, clipping }: LevelMeasure): AudioLevel {
  return { rms_dbfs, peak_dbfs, silent, clipping };
}

function engineOf(info: AudioInfo): Engine {
  return { name: "ffmpeg", version: info.decoder_version, model_sha256: null };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

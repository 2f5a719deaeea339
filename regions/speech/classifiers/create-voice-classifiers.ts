import { tmpdir } from "node:os";
import type {
  Age,
  ClassifiedEmotion,
  Engine,
  Sex,
  SpeechSegment,
  UnavailablePart,
} from "../../../shared/contracts/analysis-result.ts";
import type { AudioBlock } from "../decode/decoder.ts";
import type { Inference } from "../inference/create-inference-thread.ts";
import { InferenceError } from "../inference/inference-error.ts";
import { runtimeModelOf } from "../inference/runtime-model.ts";
import type { ClassifierHead, ClassifierSpec } from "../models/classifier-spec.ts";
import type { ModelManifest } from "../models/load-manifest.ts";
import type { ModelTask } from "../models/model-entry.ts";
import { resolveModel } from "../models/resolve-model.ts";
import { openSpool } from "../transcription/open-spool.ts";
import { createClassifier } from "./create-classifier.ts";
import type { ClassifierOptions, VoiceClassifier } from "./create-classifier.ts";
import type { HeardVoice } from "./heard-voice.ts";

/** Parts of an analysis that models of a voice give, and what such a model has to give. */
const givenBy = {
  emotion: { task: "emotion", gives: ["emotion_dimensions", "emotion_labels"] },
  age: { task: "age_sex", gives: ["age"] },
  sex: { task: "age_sex", gives: ["sex"] },
} as const satisfies Record<string, { task: ModelTask; gives: ClassifierHead["gives"][] }>;
export type ClassifiedPart = keyof typeof givenBy;

/** To be raised when our own part in a verdict gives something else than before, by the same model. */
const REVISION = 1;

/** A part, and the engine that gave it. */
export interface Verdict<T> {
  engine: Engine;
  value: T | UnavailablePart;
  /** The model cannot be used as it lies there; mended, it may give something else for the same recording. */
  faulty: boolean;
}

export interface Verdicts {
  emotion?: Verdict<ClassifiedEmotion>;
  age?: Verdict<Age>;
  sex?: Verdict<Sex>;
}

/** One recording on its way to verdicts; one call at a time. */
export interface VoiceRecording {
  push(block: AudioBlock): Promise<void>;
  /**
   * @param speech where speech was heard; nothing else is listened to
   * @throws {InferenceError} one that another attempt may not meet; a model that is at fault makes its parts unavailable
   */
  finish(speech: readonly SpeechSegment[]): Promise<Verdicts>;
  /** Removes what is on disk. */
  drop(): Promise<void>;
  /** Time in the models, each window's share of its batch. */
  computeMs(): number;
}

export interface VoiceClassifiers {
  /** All that decides a verdict besides the recording, as text; or why there is none for a part. */
  find(part: ClassifiedPart): { identity: string } | UnavailablePart;
  /** Undefined when none of the parts has a model here. */
  open(options: {
    parts: readonly ClassifiedPart[];
    signal: AbortSignal;
  }): VoiceRecording | undefined;
}

export interface VoiceClassifiersOptions {
  inference: Inference;
  manifest: ModelManifest;
  /** Existing folder for recordings in work; what a killed process left there is its owner's to remove. */
  folder?: string | undefined;
  onDeviation?: ClassifierOptions["onDeviation"];
}

interface Found {
  classifier: VoiceClassifier;
  spec: ClassifierSpec;
}

/**
 * The classifiers of a worker: for each part the first model of the manifest that is here and gives it. A model that gives
 * several parts hears a recording once.
 */
export function createVoiceClassifiers(options: VoiceClassifiersOptions): VoiceClassifiers {
  const { inference, manifest, folder = tmpdir(), onDeviation } = options;
  const byModel = new Map<string, Found>();
  const found: Record<ClassifiedPart, Found | UnavailablePart> = {
    emotion: lookUp("emotion"),
    age: lookUp("age"),
    sex: lookUp("sex"),
  };

  function lookUp(part: ClassifiedPart): Found | UnavailablePart {
    const { task, gives } = givenBy[part];
    const wanted: readonly string[] = gives;
    const isOurs = ({ heads }: ClassifierSpec) => heads.some((head) => wanted.includes(head.gives));
    const model = resolveModel(manifest, task, {
      where: ({ classifier }) => classifier !== undefined && isOurs(classifier),
    });
    if (model.status === "unavailable") {
      return manifest.models.some(({ classifier }) => classifier && isOurs(classifier))
        ? model
        : { status: "unavailable", reason: `No model that gives ${part} is in the manifest.` };
    }
    const spec = model.entry.classifier!;
    const known = byModel.get(model.entry.name);
    if (known !== undefined) return known;
    const runtime = runtimeModelOf(model);
    const classifier = createClassifier({ inference, model: runtime, spec, onDeviation });
    byModel.set(model.entry.name, { classifier, spec });
    return { classifier, spec };
  }

  function record(
    wanted: ReadonlyMap<VoiceClassifier, ClassifiedPart[]>,
    signal: AbortSignal,
  ): VoiceRecording {
    const spool = openSpool(folder);
    // Whoever pushes first is told; until then it is not an unhandled failure.
    spool.catch(() => undefined);
    let compute_ms = 0;

    return {
      async push(block) {
        signal.throwIfAborted();
        await (await spool).push(block);
      },
      async finish(speech) {
        const audio = await (await spool).finish();
        const verdicts: Verdicts = {};
        for (const [classifier, parts] of wanted) {
          let heard: HeardVoice | undefined;
          let unavailable: UnavailablePart | undefined;
          let faulty = false;
          try {
            heard = await classifier.hear(audio, speech, {
              signal,
              onWindow: (ms) => (compute_ms += ms),
            });
          } catch (error) {
            if (!(error instanceof InferenceError) || error.retryable) throw error;
            faulty = true;
            unavailable = { status: "unavailable", reason: error.message };
          }
          unavailable ??= {
            status: "unavailable",
            reason: `There is less than ${classifier.minSpeechS} s of speech.`,
          };
          const { engine } = classifier;
          for (const part of parts) {
            const value = (heard && toPart(part, heard)) ?? unavailable;
            Object.assign(verdicts, { [part]: { engine, value, faulty } });
          }
        }
        return verdicts;
      },
      async drop() {
        // Without a file there is nothing to remove.
        const opened = await spool.catch(() => undefined);
        await opened?.drop();
      },
      computeMs: () => compute_ms,
    };
  }

  return {
    find(part) {
      const own = found[part];
      if ("status" in own) return own;
      return { identity: JSON.stringify([own.classifier.engine, own.spec, REVISION]) };
    },
    open({ parts, signal }) {
      const wanted = new Map<VoiceClassifier, ClassifiedPart[]>();
      for (const part of new Set(parts)) {
        const own = found[part];
        if ("status" in own) continue;
        wanted.set(own.classifier, [...(wanted.get(own.classifier) ?? []), part]);
      }
      return wanted.size === 0 ? undefined : record(wanted, signal);
    },
  };
}

function toPart(
  part: ClassifiedPart,
  heard: HeardVoice,
): ClassifiedEmotion | Age | Sex | undefined {
  const { speech_s, windows, emotion_dimensions, emotion_labels, age, sex } = heard;
  const counted = { speech_s, windows };
  switch (part) {
    case "emotion":
      return {
        ...(emotion_dimensions === undefined ? {} : { dimensions: emotion_dimensions }),
        ...emotion_labels,
        ...counted,
      };
    case "age":
      return age && { ...age, ...counted };
    case "sex":
      return sex && { ...sex, ...counted };
  }
}

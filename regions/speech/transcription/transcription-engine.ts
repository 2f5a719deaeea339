import type {
  Engine,
  SpeechSegment,
  Transcript,
  TranscriptQuality,
  TranscriptSegment,
  TranscriptWord,
} from "../../../shared/contracts/analysis-result.ts";
import type { UtteranceOptions } from "./plan-utterances.ts";

/** A recording on disk: 16 kHz mono, 16-bit little-endian samples, no header. */
export interface SpooledAudio {
  /** Folder and name of the file; the name has neither spaces nor an extension, the file ends in `.pcm`. */
  folder: string;
  name: string;
  samples: number;
}

/** Where an utterance lies, and what was said in it; times count from the start of the recording. */
export interface TranscribedUtterance extends SpeechSegment {
  words: TranscriptWord[];
  /** What the engine itself gave times to, in order; the words are one segment when absent. */
  segments?: TranscriptSegment[];
  /** ISO 639-1: what was asked for, or what it was found to be. */
  language: string;
}

export interface TranscribeOptions {
  signal: AbortSignal;
  /** One of the engine's; found out for each utterance when absent, by engines that know several. */
  language?: string | undefined;
  /** Told of each utterance as it is done, in order. */
  onUtterance?: ((utterance: TranscribedUtterance) => void) | undefined;
}

/**
 * What turns speech into words: the port behind which an engine lies. An engine gives every utterance its own answer,
 * which depends on that utterance alone, in the order in which they were given; words and segments lie in their utterance.
 */
export interface TranscriptionEngine {
  readonly quality: TranscriptQuality;
  readonly wordTimes: NonNullable<Transcript["word_times"]>;
  /** How utterances are to be made for it. */
  readonly utterances: UtteranceOptions;
  /**
   * Languages that it knows, ISO 639-1.
   * @throws {TranscriptionRefusal} `model_unusable`
   */
  languages(): Promise<readonly string[]>;
  /** Names the engine and the hash of its model's files. */
  describe(): Promise<Engine>;
  /**
   * @param utterances within the recording, ordered, apart from one another, at whole hundredths of a second, and as
   * long as `utterances` of the engine allows
   * @throws {TranscriberError} the engine crashed or hung, also on a second try
   * @throws {TranscriptionRefusal} `model_unusable`
   * @throws the signal's reason; nothing of the engine runs on when it does
   */
  transcribe(
    audio: SpooledAudio,
    utterances: readonly SpeechSegment[],
    options: TranscribeOptions,
  ): Promise<TranscribedUtterance[]>;
  /** Ends what runs, with `transcriber_closed`. */
  close(): Promise<void>;
}

/** An engine whose model takes memory that others may need. */
export interface UnloadableEngine extends TranscriptionEngine {
  /** Gives the model's memory back, while nothing is transcribed; it is loaded again when something is. */
  unload(): Promise<void>;
}

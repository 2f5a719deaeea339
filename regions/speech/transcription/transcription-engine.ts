import type {
  Engine,
  SpeechSegment,
  TranscriptQuality,
  TranscriptWord,
} from "../../../shared/contracts/analysis-result.ts";

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
}

export interface TranscribeOptions {
  signal: AbortSignal;
  /** Told of each utterance as it is done, in order. */
  onUtterance?: ((utterance: TranscribedUtterance) => void) | undefined;
}

/**
 * What turns speech into words: the port behind which an engine lies. An engine gives every utterance its own answer,
 * which depends on that utterance alone, in the order in which they were given; words lie in their utterance.
 */
export interface TranscriptionEngine {
  readonly quality: TranscriptQuality;
  /** ISO 639-1. */
  readonly language: string;
  /** Names the engine and the hash of its model's files. */
  describe(): Promise<Engine>;
  /**
   * @param utterances within the recording, ordered, apart from one another, at whole hundredths of a second
   * @throws {TranscriberError} the engine crashed or hung, also on a second try
   * @throws the signal's reason; nothing of the engine runs on when it does
   */
  transcribe(
    audio: SpooledAudio,
    utterances: readonly SpeechSegment[],
    options: TranscribeOptions,
  ): Promise<TranscribedUtterance[]>;
}

/** What the encoder process makes; wav needs no encoder. */
export type EncodedFormat = "mp3" | "opus" | "flac" | "pcm";

/** Hz of the headerless `pcm`, as OpenAI's clients expect it. */
export const PCM_RATE = 24_000;

/** The rates that a codec knows, where it does not take any. */
const RATES: Partial<Record<EncodedFormat, number[]>> = {
  mp3: [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
  opus: [8000, 12_000, 16_000, 24_000, 48_000],
  pcm: [PCM_RATE],
};

/** The rate at which a format holds samples of `rate` Hz: theirs where it can, else the next one. */
export function encodedRate(format: EncodedFormat, rate: number): number {
  const rates = RATES[format];
  return rates === undefined ? rate : (rates.find((known) => known >= rate) ?? rates.at(-1)!);
}

/** To the encoder process over IPC: begins a job. Its samples follow on stdin. */
export interface EncodeRequest {
  type: "encode";
  format: EncodedFormat;
  /** Of the samples that follow, Hz. */
  rate: number;
}

/**
 * Frames on stdin: the length in bytes (unsigned 32-bit little-endian), then so many bytes of 16-bit mono samples; a length
 * of 0 ends the job. Frames on `OUTPUT_FD`: a kind and a length (32 bits each), then the payload.
 */
export const OUTPUT_FD = 3;
export const KIND_BYTES = 1;
/** All input was encoded; no payload. */
export const KIND_DONE = 2;
/** UTF-8 that says why not. */
export const KIND_FAILED = 3;
export const MAX_PAYLOAD = 2 ** 20;

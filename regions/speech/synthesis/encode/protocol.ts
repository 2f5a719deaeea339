/** What the encoder process makes; wav needs no encoder. */
export type EncodedFormat = "mp3" | "opus" | "flac" | "pcm";

/** Hz of the headerless `pcm`, as OpenAI's clients expect it. */
export const PCM_RATE = 24_000;

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

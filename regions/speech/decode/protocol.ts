import { z } from "zod";
import { audioErrorCodes } from "./audio-error.ts";
import { AudioHeader, AudioInfo } from "./audio-info.ts";

/** Sample rate of everything that leaves the decoder, Hz. */
export const SAMPLE_RATE = 16_000;
/** Samples in a block (one second); only the last block of a recording is shorter. */
export const BLOCK_SAMPLES = 16_000;

/** To the decoder process, over its IPC channel; one job at a time. */
export const DecoderRequest = z.strictObject({
  type: z.literal("decode"),
  path: z.string(),
  max_duration_s: z.number().positive(),
});
export type DecoderRequest = z.infer<typeof DecoderRequest>;

/** From the decoder process, in order with the samples on the same pipe; `done` or `failed` ends a job. */
export const DecoderMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("header"), header: AudioHeader }),
  z.strictObject({ type: z.literal("done"), info: AudioInfo }),
  z.strictObject({
    type: z.literal("failed"),
    code: z.enum([...audioErrorCodes, "file_unreadable", "decoder_crashed"]),
    message: z.string().max(500),
    /** FFmpeg has seen the bytes: from a hostile file, the process may have come out changed. */
    exposed: z.boolean(),
  }),
]);
export type DecoderMessage = z.infer<typeof DecoderMessage>;

/** File descriptor of the pipe on which frames come back. */
export const FRAME_FD = 3;
/** A frame is its kind and the length of its payload (unsigned 32-bit little-endian each), then the payload. */
export const FRAME_HEADER_BYTES = 8;
/** Payload of mono float32 samples in the machine's byte order. */
export const FRAME_SAMPLES = 1;
/** Payload of one DecoderMessage in JSON. */
export const FRAME_MESSAGE = 2;
export const MAX_FRAME_BYTES = BLOCK_SAMPLES * 4;

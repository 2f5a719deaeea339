import { BLOCK_SAMPLES } from "./sample-format.ts";

/** File descriptor of the pipe on which frames come back. */
export const FRAME_FD = 3;
/** A frame is its kind and the length of its payload (unsigned 32-bit little-endian each), then the payload. */
export const FRAME_HEADER_BYTES = 8;
/** Payload of mono float32 samples in the machine's byte order. */
export const FRAME_SAMPLES = 1;
/** Payload of one DecoderMessage in JSON. */
export const FRAME_MESSAGE = 2;
export const MAX_FRAME_BYTES = BLOCK_SAMPLES * 4;

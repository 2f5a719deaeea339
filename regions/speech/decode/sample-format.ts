/** Sample rate of everything that leaves the decoder, Hz. */
export const SAMPLE_RATE = 16_000;
/** Samples in a block (one second); only the last block of a recording is shorter. */
export const BLOCK_SAMPLES = 16_000;

import { fliteVoices } from "../contracts/speech.ts";

/** Compute-seconds before the first sound: a child process for the encoder, a module made. */
const START_S = 0.05;
/** Compute-seconds for each byte of text: flite is many times faster than speech, neural voices a few times at best. */
const PER_BYTE_S = { flite: 0.0006, neural: 0.02 };

const isFlite = new Set(fliteVoices.map(({ id }) => id));

/** Expected compute-seconds of speaking a text of so many bytes of UTF-8. */
export function speechComputeS(voice: string, bytes: number): number {
  return START_S + bytes * (isFlite.has(voice) ? PER_BYTE_S.flite : PER_BYTE_S.neural);
}

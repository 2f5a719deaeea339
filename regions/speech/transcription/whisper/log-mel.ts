import { createFrameFft, FRAME } from "./frame-fft.ts";
import { BINS, createSlaneyMelBank } from "./slaney-mel-bank.ts";

/** What Whisper hears at once: 30 s at 16 kHz, in frames every 10 ms. */
export const WINDOW_SAMPLES = 480_000;
export const WINDOW_FRAMES = 3000;
const HOP = 160;

/** Below this, power counts as nothing. */
const FLOOR = 1e-10;
/** Decades below the loudest that are kept. */
const RANGE = 8;

/** Features of one window. */
export interface LogMel {
  readonly bands: number;
  /**
   * Writes `bands` rows of 3000 frames into `out` from `offset` on.
   *
   * @param samples at most 30 s at 16 kHz; what is missing is silence
   * @throws {RangeError} more than 30 s
   */
  write(samples: Float32Array, out: Float32Array, offset: number): void;
}

/**
 * Whisper's front end (Radford et al., 2022): power spectra of Hann windows of 25 ms, centred, with the signal reflected at both
 * ends; mel bands; the logarithm to base 10, clamped at 8 decades below the window's loudest, then (x + 4) / 4.
 */
export function createLogMel(bands: number): LogMel {
  const fft = createFrameFft();
  const bank = createSlaneyMelBank(bands);
  const hann = Float64Array.from(
    { length: FRAME },
    (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FRAME),
  );
  const frame = new Float64Array(FRAME);
  const power = new Float64Array(BINS);
  const mel = new Float64Array(bands);

  function write(samples: Float32Array, out: Float32Array, offset: number): void {
    const { length } = samples;
    if (length > WINDOW_SAMPLES) throw new RangeError(`A window has ${WINDOW_SAMPLES} samples.`);
    // From the first frame on that touches no sample all are the same.
    const heard = Math.min(WINDOW_FRAMES, Math.ceil((length + FRAME / 2) / HOP));
    let loudest = Math.log10(FLOOR);
    for (let t = 0; t < heard; t += 1) {
      const from = t * HOP - FRAME / 2;
      for (let i = 0; i < FRAME; i += 1) {
        let at = Math.abs(from + i);
        if (at >= WINDOW_SAMPLES) at = 2 * (WINDOW_SAMPLES - 1) - at;
        frame[i] = at < length ? samples[at]! * hann[i]! : 0;
      }
      fft(frame, power);
      bank.apply(power, mel);
      for (let band = 0; band < bands; band += 1) {
        const value = Math.log10(Math.max(FLOOR, mel[band]!));
        if (value > loudest) loudest = value;
        out[offset + band * WINDOW_FRAMES + t] = value;
      }
    }
    const lowest = loudest - RANGE;
    const silence = (Math.max(Math.log10(FLOOR), lowest) + 4) / 4;
    for (let band = 0; band < bands; band += 1) {
      const row = offset + band * WINDOW_FRAMES;
      for (let t = row; t < row + heard; t += 1) out[t] = (Math.max(out[t]!, lowest) + 4) / 4;
      out.fill(silence, row + heard, row + WINDOW_FRAMES);
    }
  }

  return { bands, write };
}

import { createBandSlope } from "./band-slope.ts";

/** The spectral balance of one frame; reused from call to call. */
export interface SpectralBalance {
  /** Level of 1-5 kHz over that below 1 kHz, dB. */
  alphaRatio: number;
  /** Strongest peak of 0-2 kHz over the strongest of 2-5 kHz, dB. */
  hammarberg: number;
  /** Slopes of the spectrum in dB per Hz. */
  slope0To500: number;
  slope500To1500: number;
}

export interface SpectralBalanceOptions {
  fftSize: number;
  sampleRate: number;
}

/** Power below which a bin counts as empty: far below the rounding noise of 16 bits. */
const FLOOR = 1e-12;

/** Balance measures of a power spectrum, after Eyben et al. 2016, section 3. */
export function createSpectralBalance({ fftSize, sampleRate }: SpectralBalanceOptions): {
  of(power: Float64Array): SpectralBalance;
} {
  const binAt = (hz: number): number => Math.floor((hz * fftSize) / sampleRate);
  const at1000 = binAt(1000);
  const at2000 = binAt(2000);
  const at5000 = binAt(5000);
  const binHz = sampleRate / fftSize;
  const low = createBandSlope({ lowHz: 0, highHz: 500, binHz });
  const middle = createBandSlope({ lowHz: 500, highHz: 1500, binHz });
  const decibels = new Float64Array(middle.lastBin + 1);
  const balance = { alphaRatio: 0, hammarberg: 0, slope0To500: 0, slope500To1500: 0 };

  function of(power: Float64Array): SpectralBalance {
    // The reference figures start at DC, not at the paper's 50 Hz; the edge at 1 kHz belongs to the upper band, the one at
    // 2 kHz to both.
    balance.alphaRatio = ratio(sum(power, at1000, at5000 + 1), sum(power, 0, at1000));
    balance.hammarberg = ratio(max(power, 0, at2000 + 1), max(power, at2000, at5000 + 1));
    for (let bin = 0; bin < decibels.length; bin += 1) {
      decibels[bin] = 10 * Math.log10(Math.max(FLOOR, power[bin]!));
    }
    balance.slope0To500 = low.of(decibels);
    balance.slope500To1500 = middle.of(decibels);
    return balance;
  }

  return { of };
}

/** In dB; 0 for digital silence, which has no balance. */
function ratio(over: number, under: number): number {
  return over <= FLOOR && under <= FLOOR
    ? 0
    : 10 * Math.log10(Math.max(over, FLOOR) / Math.max(under, FLOOR));
}

function sum(power: Float64Array, from: number, to: number): number {
  let total = 0;
  for (let bin = from; bin < to; bin += 1) total += power[bin]!;
  return total;
}

function max(power: Float64Array, from: number, to: number): number {
  let largest = 0;
  for (let bin = from; bin < to; bin += 1) if (power[bin]! > largest) largest = power[bin]!;
  return largest;
}

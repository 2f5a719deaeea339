export const RATE = 16_000;

/** A pulse train of a voice at `hz`, through two resonances, at an amplitude that changes over time. */
export function voice(
  seconds: number,
  { hz = 120, amplitude = () => 0.3 }: { hz?: number; amplitude?: (t_s: number) => number } = {},
): Float32Array {
  const samples = new Float32Array(Math.round(seconds * RATE));
  for (let at = 0; at < samples.length; at += RATE / hz) samples[Math.floor(at)] = 1;
  resonate(samples, 500, 80);
  resonate(samples, 1500, 120);
  const peak = samples.reduce((top, sample) => Math.max(top, Math.abs(sample)), 1e-9);
  return samples.map((sample, i) => (sample / peak) * amplitude(i / RATE));
}

/** `count` syllables: raised cosines of loudness on a voice, `perSecond` of them a second, falling by `dipDb` between. */
export function syllables(
  count: number,
  { perSecond = 4, dipDb = 12, hz = 120 }: { perSecond?: number; dipDb?: number; hz?: number } = {},
): Float32Array {
  const least = 10 ** (-dipDb / 20);
  const swell = (t_s: number) => (1 - Math.cos(2 * Math.PI * t_s * perSecond)) / 2;
  return voice(count / perSecond, {
    hz,
    amplitude: (t_s) => 0.3 * (least + (1 - least) * swell(t_s)),
  });
}

export function sine(seconds: number, hz: number, amplitude = 0.5, rate = RATE): Float32Array {
  return Float32Array.from(
    { length: Math.round(seconds * rate) },
    (_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / rate),
  );
}

/** White noise, the same each time. */
export function noise(seconds: number, amplitude = 0.1): Float32Array {
  let state = 1;
  return Float32Array.from({ length: Math.round(seconds * RATE) }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return amplitude * (state / 1_073_741_824 - 1);
  });
}

export function silence(seconds: number): Float32Array {
  return new Float32Array(Math.round(seconds * RATE));
}

export function concat(...parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function scaled(samples: Float32Array, gain: number): Float32Array {
  return samples.map((sample) => sample * gain);
}

function resonate(samples: Float32Array, hz: number, bandwidthHz: number): void {
  const radius = Math.exp((-Math.PI * bandwidthHz) / RATE);
  const a1 = 2 * radius * Math.cos((2 * Math.PI * hz) / RATE);
  const a2 = -radius * radius;
  let y1 = 0;
  let y2 = 0;
  for (let i = 0; i < samples.length; i += 1) {
    const y = samples[i]! + a1 * y1 + a2 * y2;
    y2 = y1;
    y1 = y;
    samples[i] = y;
  }
}

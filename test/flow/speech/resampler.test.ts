import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeAudio } from "../../../scripts/fixtures/encode-audio.ts";
import { wav } from "../../../scripts/fixtures/wav.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { decodeAll, makeFolder } from "./fixtures.ts";
import { concat, noise, scaled, sine } from "./synthesise.ts";

const decoder = createDecoder({ maxProcesses: 1 });
let folder: Awaited<ReturnType<typeof makeFolder>>;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(async () => {
  await decoder.close();
  await folder.remove();
});

const OUT = 16_000;
const TONE_S = 0.25;
const AMPLITUDE = 0.9;
/** What the resampler's own description states. */
const STATED = { passHz: 7500, stopHz: 8000, rippleDb: 0.1, stopDb: -100, passBelow: 0.48 };

type Write = (name: string, samples: Float32Array, rate: number) => Promise<string>;
const writers: Record<string, Write> = {
  wav: (name, samples, rate) => folder.write(name, floatWav([samples], rate)),
  flac: async (name, samples, rate) => {
    const path = folder.path(name);
    encodeAudio(path, samples, { encoder: "flac", format: "flac", rate });
    return path;
  },
};

/** Plays tones one after the other through the decoder; what comes out of the middle of each, level in dB of it. */
async function play(kind: string, rate: number, tones: readonly number[]) {
  const samples = concat(...tones.map((hz) => sine(TONE_S, hz, AMPLITUDE, rate)));
  const path = await writers[kind]!(`tones-${rate}.${kind}`, samples, rate);
  const { samples: out, info } = await decodeAll(decoder, path);
  expect(info.sample_rate_hz).toBe(rate);
  expect(Math.abs(out.length - (samples.length * OUT) / rate)).toBeLessThanOrEqual(1);
  return tones.map((hz, i) => {
    const part = out.subarray((i + 0.2) * TONE_S * OUT, (i + 0.8) * TONE_S * OUT);
    const levelAt = (at: number) => decibels(amplitudeAt(part, at) / AMPLITUDE);
    return { hz, levelAt, rest: decibels(restBeside(part, hz) / AMPLITUDE) };
  });
}

const pass = [30, 100, 440, 1000, 2500, 4000, 5500, 6500, 7000, 7300, 7500];
const stop = [
  8000, 8050, 8100, 8200, 8400, 8700, 9000, 9900, 11_000, 13_000, 15_900, 16_200, 19_000,
];

describe.each([
  ["wav", 48_000],
  ["flac", 48_000],
  ["wav", 44_100],
  ["flac", 44_100],
  ["wav", 192_000],
  // No fraction of small numbers lies between this rate and 16 kHz.
  ["wav", 44_056],
])("%s at %i Hz", (kind, rate) => {
  test("keeps the voice up to 7.5 kHz as loud as it was", async () => {
    expect(pass.at(-1)).toBe(STATED.passHz);
    for (const { hz, levelAt } of await play(kind, rate, pass)) {
      expect(Math.abs(levelAt(hz)), `${hz} Hz`).toBeLessThan(STATED.rippleDb);
    }
  });

  test("folds nothing from above 8 kHz back into the voice", async () => {
    expect(stop[0]).toBe(STATED.stopHz);
    for (const { hz, levelAt } of await play(kind, rate, stop)) {
      const alias = Math.abs(hz - OUT * Math.round(hz / OUT));
      expect(levelAt(alias), `${hz} Hz at ${alias} Hz`).toBeLessThan(STATED.stopDb);
    }
  });
});

test("a telephone's 8 kHz come up to 16 kHz without images", async () => {
  const rate = 8000;
  const tones = [100, 1000, 2500, 3400, rate * STATED.passBelow];
  for (const { hz, levelAt, rest } of await play("wav", rate, tones)) {
    expect(Math.abs(levelAt(hz)), `${hz} Hz`).toBeLessThan(STATED.rippleDb);
    expect(levelAt(rate - hz), `image of ${hz} Hz`).toBeLessThan(STATED.stopDb);
    expect(rest, `beside ${hz} Hz`).toBeLessThan(STATED.stopDb);
  }
});

test("16 kHz pass bit for bit", async () => {
  const samples = noise(1, 0.9);
  const path = await folder.write("same.wav", floatWav([samples], OUT));
  expect((await decodeAll(decoder, path)).samples).toEqual(samples);
});

describe("channels", () => {
  const tone = sine(1, 440, 0.8, 48_000);
  const levelOf = async (...channels: Float32Array[]) => {
    const path = await folder.write("channels.wav", floatWav(channels, 48_000));
    const { samples, info } = await decodeAll(decoder, path);
    expect(info.channels).toBe(channels.length);
    return amplitudeAt(samples.subarray(OUT * 0.2, OUT * 0.8), 440);
  };

  test.each([1, 2, 3, 6, 8])("%i of the same sound are as loud as one", async (count) => {
    const level = await levelOf(...Array.from({ length: count }, () => tone));
    expect(Math.abs(decibels(level / 0.8))).toBeLessThan(0.01);
  });

  test("of opposite sound cancel", async () => {
    expect(decibels(await levelOf(tone, scaled(tone, -1)))).toBeLessThan(-120);
  });

  test("are averaged, each with the same weight", async () => {
    const none = new Float32Array(tone.length);
    for (let at = 0; at < 6; at += 1) {
      const channels = Array.from({ length: 6 }, (_, channel) => (channel === at ? tone : none));
      // In a 5.1 file the fourth is the one for low frequencies, which films leave out of a mix.
      expect(decibels((await levelOf(...channels)) / (0.8 / 6)), `channel ${at}`).toBeCloseTo(0, 2);
    }
  });
});

function floatWav(channels: readonly Float32Array[], rate: number): Buffer {
  const count = channels.length;
  const mixed = new Float32Array(count * channels[0]!.length);
  for (const [c, samples] of channels.entries()) {
    for (let i = 0; i < samples.length; i += 1) mixed[i * count + c] = samples[i]!;
  }
  return wav(Buffer.from(mixed.buffer), { rate, channels: count, bits: 32, format: 3 });
}

/** Amplitude of one frequency under a Blackman window, whose side lobes would not hide what is asked for here. */
function amplitudeAt(samples: Float32Array, hz: number): number {
  let re = 0;
  let im = 0;
  let total = 0;
  for (let i = 0; i < samples.length; i += 1) {
    const weight = blackman(i, samples.length);
    const phase = (2 * Math.PI * hz * i) / OUT;
    re += weight * samples[i]! * Math.cos(phase);
    im += weight * samples[i]! * Math.sin(phase);
    total += weight;
  }
  // At 0 Hz there is no second half of the spectrum to add.
  return (hz === 0 ? 1 : 2) * (Math.hypot(re, im) / total);
}

/** Amplitude of a sine as strong as all that is left when the tone is taken away. */
function restBeside(samples: Float32Array, hz: number): number {
  const n = samples.length;
  const cos = Float64Array.from({ length: n }, (_, i) => Math.cos((2 * Math.PI * hz * i) / OUT));
  const sin = Float64Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * hz * i) / OUT));
  let [cc, ss, cs, xc, xs] = [0, 0, 0, 0, 0];
  for (let i = 0; i < n; i += 1) {
    cc += cos[i]! ** 2;
    ss += sin[i]! ** 2;
    cs += cos[i]! * sin[i]!;
    xc += samples[i]! * cos[i]!;
    xs += samples[i]! * sin[i]!;
  }
  const det = cc * ss - cs * cs;
  const a = (xc * ss - xs * cs) / det;
  const b = (xs * cc - xc * cs) / det;
  const squares = samples.reduce((sum, x, i) => sum + (x - a * cos[i]! - b * sin[i]!) ** 2, 0);
  return Math.sqrt((2 * squares) / n);
}

function blackman(i: number, n: number): number {
  const phase = (2 * Math.PI * (i + 0.5)) / n;
  return 0.42 - 0.5 * Math.cos(phase) + 0.08 * Math.cos(2 * phase);
}

function decibels(amplitude: number): number {
  return 20 * Math.log10(amplitude + 1e-12);
}

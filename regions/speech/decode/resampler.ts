import { AV_CHANNEL_ORDER_NATIVE, AV_SAMPLE_FMT_FLT } from "node-av/constants";
import { Frame, SoftwareResampleContext } from "node-av/lib";
import type { ChannelLayout } from "node-av/lib";
import { AudioError } from "./audio-error.ts";
import { SAMPLE_RATE } from "./sample-format.ts";
import { viewSamples } from "./view-samples.ts";

/** What a channel stands for is of no account in an average, and files that do not say must work too. */
function layoutOf(channels: number): ChannelLayout {
  return {
    nbChannels: channels,
    order: AV_CHANNEL_ORDER_NATIVE,
    mask: (1n << BigInt(channels)) - 1n,
  };
}

const MONO = layoutOf(1);

/**
 * libswresample's own choice (32 taps) lets 8.1 kHz fold back into the voice at -13 dB. This filter is six times as
 * long: its taps, the middle of its slope as a part of half the lower rate, and the beta of its Kaiser window.
 */
const FILTER = { filter_size: 192, cutoff: 0.96, kaiser_beta: 10 };
/** Spliced streams change their shape a few times; each change costs a new filter, and a hostile one could ask for millions. */
const MOST_SHAPES = 256;

/**
 * Mixes down and resamples natively (libswresample) to 16 kHz mono float32, without dither.
 *
 * - Channels are averaged with equal weights: the same sound in all of them keeps its loudness, opposite sounds cancel.
 * - From a higher rate, the pass-band reaches 7.5 kHz (within 0.1 dB) and the stop-band begins at 8 kHz (at least
 *   100 dB down), so nothing that was above half the new rate is heard below it.
 * - From a lower rate f, the pass-band reaches 0.48 f, and the images of what is in it are as far down.
 * - At 16 kHz the samples pass unchanged.
 *
 * It follows a stream whose rate or format changes midway.
 */
export function createResampler(write: (samples: Float32Array) => void) {
  let context: SoftwareResampleContext | undefined;
  let shape = "";
  let shapes = 0;
  const output = new Frame();
  output.alloc();

  function convert(input: Frame | null): void {
    if (context === undefined) return;
    output.unref();
    output.format = AV_SAMPLE_FMT_FLT;
    output.sampleRate = SAMPLE_RATE;
    output.channelLayout = MONO;
    if (context.convertFrame(output, input) < 0) {
      throw new AudioError("audio_corrupt", "The samples could not be resampled.");
    }
    const plane = output.data?.[0];
    if (plane !== undefined && output.nbSamples > 0) {
      write(viewSamples(Float32Array, plane, output.nbSamples));
    }
  }

  function start(frame: Frame, channels: number): void {
    const made = new SoftwareResampleContext();
    context = made;
    const format = frame.format as typeof AV_SAMPLE_FMT_FLT;
    const weights = Array.from({ length: channels }, () => 1 / channels);
    if (
      made.allocSetOpts2(
        MONO,
        AV_SAMPLE_FMT_FLT,
        SAMPLE_RATE,
        layoutOf(channels),
        format,
        frame.sampleRate,
      ) < 0 ||
      made.setMatrix(weights, channels) < 0 ||
      Object.entries(FILTER).some(([name, value]) => made.setOption(name, value) < 0) ||
      made.init() < 0
    ) {
      throw new AudioError(
        "audio_unsupported",
        `No way from ${frame.sampleRate} Hz in ${channels} channels.`,
      );
    }
  }

  return {
    push(frame: Frame): void {
      const channels = frame.channels;
      const now = `${frame.format} ${frame.sampleRate} ${channels}`;
      if (now !== shape) {
        shapes += 1;
        if (shapes > MOST_SHAPES) {
          throw new AudioError("audio_corrupt", "The stream changes its shape time and again.");
        }
        convert(null);
        context?.free();
        context = undefined;
        start(frame, channels);
        shape = now;
      }
      frame.channelLayout = layoutOf(channels);
      convert(frame);
    },
    flush: () => convert(null),
    close(): void {
      context?.free();
      output.free();
    },
  };
}

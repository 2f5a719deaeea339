import { AV_CHANNEL_ORDER_NATIVE, AV_SAMPLE_FMT_FLT } from "node-av/constants";
import { Frame, SoftwareResampleContext } from "node-av/lib";
import type { ChannelLayout } from "node-av/lib";
import { AudioError } from "./audio-error.ts";
import { SAMPLE_RATE } from "./protocol.ts";
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
 * Mixes down and resamples natively to 16 kHz mono float32. Channels are averaged, so a recording whose
 * channels carry the same sound keeps its loudness; no dither. It follows a stream whose rate or format changes midway.
 */
export function createResampler(write: (samples: Float32Array) => void) {
  let context: SoftwareResampleContext | undefined;
  let shape = "";
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
    context = new SoftwareResampleContext();
    const format = frame.format as typeof AV_SAMPLE_FMT_FLT;
    const weights = Array.from({ length: channels }, () => 1 / channels);
    if (
      context.allocSetOpts2(
        MONO,
        AV_SAMPLE_FMT_FLT,
        SAMPLE_RATE,
        layoutOf(channels),
        format,
        frame.sampleRate,
      ) < 0 ||
      context.setMatrix(weights, channels) < 0 ||
      context.init() < 0
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

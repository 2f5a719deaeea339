import { AV_CHANNEL_LAYOUT_MONO, AV_SAMPLE_FMT_FLT, AV_SAMPLE_FMT_FLTP } from "node-av/constants";
import { Frame, Rational } from "node-av/lib";

/** A frame of mono samples in a sample format, `at` samples behind the beginning. To be freed by the caller. */
export function frameOf(samples: Int16Array, format: number, rate: number, at: number): Frame {
  const float = format === AV_SAMPLE_FMT_FLT || format === AV_SAMPLE_FMT_FLTP;
  const plane = float
    ? Float32Array.from(samples, (sample) => sample / 32_768)
    : Int16Array.from(samples);
  return Frame.fromAudioBuffer(Buffer.from(plane.buffer), {
    nbSamples: samples.length,
    format: format as typeof AV_SAMPLE_FMT_FLT,
    sampleRate: rate,
    channelLayout: AV_CHANNEL_LAYOUT_MONO,
    timeBase: new Rational(1, rate),
    pts: BigInt(at),
  });
}

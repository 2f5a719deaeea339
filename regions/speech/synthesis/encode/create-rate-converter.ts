import { FFmpegError, Frame, SoftwareResampleContext } from "node-av/lib";
import { AV_CHANNEL_LAYOUT_MONO, AV_SAMPLE_FMT_S16 } from "node-av/constants";
import { frameOf } from "./frame-of.ts";

/** Mono samples of 16 bits from one rate to another. */
export interface RateConverter {
  /** Takes samples and gives what they made; some may come with the next. */
  push(samples: Int16Array): Int16Array<ArrayBuffer>[];
  /** What is left. */
  end(): Int16Array<ArrayBuffer>[];
  close(): void;
}

/** Samples that are converted at a time. */
const STEP = 8192;

const check = (status: number) => FFmpegError.throwIfError(status);

/** @param from Hz @param to Hz; may be the same */
export function createRateConverter(from: number, to: number): RateConverter {
  const context = new SoftwareResampleContext();
  check(
    context.allocSetOpts2(
      AV_CHANNEL_LAYOUT_MONO,
      AV_SAMPLE_FMT_S16,
      to,
      AV_CHANNEL_LAYOUT_MONO,
      AV_SAMPLE_FMT_S16,
      from,
    ),
  );
  check(context.init());
  const output = new Frame();
  output.alloc();

  function convert(input: Frame | null): Int16Array<ArrayBuffer>[] {
    output.unref();
    output.format = AV_SAMPLE_FMT_S16;
    output.sampleRate = to;
    output.channelLayout = AV_CHANNEL_LAYOUT_MONO;
    check(context.convertFrame(output, input));
    const plane = output.data?.[0];
    if (plane === undefined || output.nbSamples === 0) return [];
    // The frame's memory is used again.
    return [new Int16Array(new Uint8Array(plane.subarray(0, output.nbSamples * 2)).buffer)];
  }

  return {
    push(samples) {
      const made: Int16Array<ArrayBuffer>[] = [];
      for (let at = 0; at < samples.length; at += STEP) {
        const frame = frameOf(samples.subarray(at, at + STEP), AV_SAMPLE_FMT_S16, from, 0);
        made.push(...convert(frame));
        frame.free();
      }
      return made;
    },
    end: () => convert(null),
    close() {
      context.free();
      output.free();
    },
  };
}

import type { AVSampleFormat } from "node-av/constants";
import * as formats from "node-av/constants";
import type { Frame } from "node-av/lib";
import type { createLevelMeter } from "../levels/create-level-meter.ts";
import { viewSamples } from "./view-samples.ts";

type Kind = "u8" | "s16" | "s32" | "flt" | "dbl";

const kinds = new Map<AVSampleFormat, { kind: Kind; planar: boolean }>([
  [formats.AV_SAMPLE_FMT_U8, { kind: "u8", planar: false }],
  [formats.AV_SAMPLE_FMT_S16, { kind: "s16", planar: false }],
  [formats.AV_SAMPLE_FMT_S32, { kind: "s32", planar: false }],
  [formats.AV_SAMPLE_FMT_FLT, { kind: "flt", planar: false }],
  [formats.AV_SAMPLE_FMT_DBL, { kind: "dbl", planar: false }],
  [formats.AV_SAMPLE_FMT_U8P, { kind: "u8", planar: true }],
  [formats.AV_SAMPLE_FMT_S16P, { kind: "s16", planar: true }],
  [formats.AV_SAMPLE_FMT_S32P, { kind: "s32", planar: true }],
  [formats.AV_SAMPLE_FMT_FLTP, { kind: "flt", planar: true }],
  [formats.AV_SAMPLE_FMT_DBLP, { kind: "dbl", planar: true }],
]);

/** Full scale of 16 bits: 24-bit and float recordings clipped before they were widened stop there. */
const CLIP = 32_766.5 / 32_768;

const readers = {
  u8: { type: Uint8Array, bias: 128, scale: 1 / 128, clipAt: 126.5 / 128 },
  s16: { type: Int16Array, bias: 0, scale: 1 / 32_768, clipAt: CLIP },
  s32: { type: Int32Array, bias: 0, scale: 1 / 2_147_483_648, clipAt: CLIP },
  flt: { type: Float32Array, bias: 0, scale: 1, clipAt: CLIP },
  dbl: { type: Float64Array, bias: 0, scale: 1, clipAt: CLIP },
};

/** Feeds one decoded frame, in the file's own format, to a level meter. Returns false on NaN or infinity. */
export function measureFrame(meter: ReturnType<typeof createLevelMeter>, frame: Frame): boolean {
  const format = kinds.get(frame.format as AVSampleFormat);
  const planes = frame.data;
  if (format === undefined || planes === null)
    throw new RangeError("The sample format is not known.");
  const { type, ...reader } = readers[format.kind];
  const { channels, nbSamples: count } = frame;
  let finite = true;
  if (format.planar) {
    for (let channel = 0; channel < channels; channel += 1) {
      const plane = planes[channel];
      if (plane === undefined) throw new RangeError("A channel is missing.");
      const samples = viewSamples<InstanceType<typeof type>>(type, plane, count);
      finite = meter.push(channel, { ...reader, samples, offset: 0, stride: 1, count }) && finite;
    }
    return finite;
  }
  const plane = planes[0];
  if (plane === undefined) throw new RangeError("The samples are missing.");
  const samples = viewSamples<InstanceType<typeof type>>(type, plane, count * channels);
  for (let channel = 0; channel < channels; channel += 1) {
    finite =
      meter.push(channel, { ...reader, samples, offset: channel, stride: channels, count }) &&
      finite;
  }
  return finite;
}

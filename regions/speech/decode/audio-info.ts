import { z } from "zod";
import { LevelMeasure } from "../levels/level-measure.ts";

/** Families of containers that are opened at all; nothing in this list can point at another file or host. */
export const Container = z.enum([
  "wav",
  "w64",
  "flac",
  "mp3",
  "aac",
  "ogg",
  "mp4",
  "webm",
  "amr",
  "aiff",
  "caf",
  "au",
]);
export type Container = z.infer<typeof Container>;

/** What the container says before a sample is decoded. Rate and channels are the file's own. */
export const AudioHeader = z.strictObject({
  container: Container,
  codec: z.string().max(40),
  sample_rate_hz: z.int().positive(),
  channels: z.int().positive(),
  has_video: z.boolean(),
  /** What the container promises, which may be a lie; null when it promises nothing. */
  expected_duration_s: z.number().positive().nullable(),
});
export type AudioHeader = z.infer<typeof AudioHeader>;

/** A wholly decoded recording. `duration_s` counts decoded samples; the level is that of the original channels and rate. */
export const AudioInfo = AudioHeader.extend({
  duration_s: z.number().positive(),
  level: LevelMeasure,
  /** Time spent decoding, without the time spent waiting for the reader. */
  decode_ms: z.number().min(0),
  /** FFmpeg's own version. */
  decoder_version: z.string().max(80),
});
export type AudioInfo = z.infer<typeof AudioInfo>;

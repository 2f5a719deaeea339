import { setImmediate } from "node:timers/promises";
import { AVERROR_EAGAIN, AVERROR_EOF, AV_PKT_FLAG_CORRUPT } from "node-av/constants";
import { Frame, getFFmpegInfo, Packet } from "node-av/lib";
import { createLevelMeter } from "../levels/create-level-meter.ts";
import { assertComplete } from "./assert-complete.ts";
import { AudioError } from "./audio-error.ts";
import type { AudioHeader, AudioInfo, Container } from "./audio-info.ts";
import { openByteSource } from "./byte-source.ts";
import { measureFrame } from "./measure-frame.ts";
import { MAX_CHANNELS, MAX_RATE, openAudio } from "./open-audio.ts";
import type { OpenAudio } from "./open-audio.ts";
import { createResampler } from "./resampler.ts";
import { sniffContainer } from "./sniff-container.ts";

export interface DecodeSink {
  /** Called when the bytes are about to reach FFmpeg. */
  exposed(): void;
  /** Called once, before any samples. */
  header(header: AudioHeader): void;
  /** 16 kHz mono; a view that is only valid during the call. */
  samples(samples: Float32Array): void;
}

/** Float recordings may exceed full scale, but what lies 120 dB above it is damage, and would overflow in the models. */
const MAX_PEAK = 1e6;
/** Packets after which native code is given a turn. */
const PACKETS_A_TURN = 200;
/** Joined and cut mp3 or aac begins with frames that need data from before the cut. */
const forgivesStart = new Set<Container>(["mp3", "aac"]);

/**
 * Decodes a whole file; runs in the decoder process only. Synchronous but for a turn of the event loop now and then:
 * without one, what frees the native memory behind each collected frame never runs, 7 kB a frame.
 * @returns the info without the time, which only the caller can tell from waiting
 * @throws {AudioError} with every code but `audio_mislabelled`
 */
export async function decodeFile(
  path: string,
  maxDurationS: number,
  sink: DecodeSink,
): Promise<Omit<AudioInfo, "decode_ms">> {
  const source = openByteSource(path);
  try {
    const container = sniffContainer(source);
    if (container === undefined) {
      throw new AudioError(
        "audio_unsupported",
        "The file is in no audio format that is read here.",
      );
    }
    assertComplete(source, container);
    sink.exposed();
    const audio = openAudio(source, container);
    try {
      if ((audio.header.expected_duration_s ?? 0) > maxDurationS) throw tooLong(maxDurationS);
      sink.header(audio.header);
      return {
        ...audio.header,
        ...(await decodeStream(audio, maxDurationS, sink)),
        decoder_version: getFFmpegInfo().version.slice(0, 80),
      };
    } finally {
      audio.close();
    }
  } finally {
    source.close();
  }
}

async function decodeStream(audio: OpenAudio, maxDurationS: number, sink: DecodeSink) {
  const { format, stream, codec, header } = audio;
  const meter = createLevelMeter();
  const resampler = createResampler((samples) => sink.samples(samples));
  const packet = new Packet();
  packet.alloc();
  const frame = new Frame();
  frame.alloc();
  /** Samples by rate: a sum of whole numbers is exact. */
  const counts = new Map<number, number>();
  let decoded_s = 0;
  let fault = false;
  let damaged = false;
  let expectedPts: number | undefined;

  function take(): void {
    const { channels, sampleRate } = frame;
    if (channels < 1 || channels > MAX_CHANNELS || sampleRate < 1 || sampleRate > MAX_RATE) {
      throw new AudioError("audio_corrupt", "The stream changes to a shape that cannot be.");
    }
    damaged ||= fault && (decoded_s > 0 || !forgivesStart.has(header.container));
    fault = false;
    if (header.container === "flac") {
      // The parser silently drops what is not a frame; only the frames' own numbers tell that something is missing.
      const pts = (Number(frame.pts) * stream.timeBase.num) / stream.timeBase.den;
      damaged ||= expectedPts !== undefined && Math.abs(pts - expectedPts) > 0.001;
      expectedPts = pts + frame.nbSamples / frame.sampleRate;
    }
    counts.set(frame.sampleRate, (counts.get(frame.sampleRate) ?? 0) + frame.nbSamples);
    decoded_s = [...counts].reduce((sum, [rate, count]) => sum + count / rate, 0);
    if (decoded_s > maxDurationS) throw tooLong(maxDurationS);
    if (!measureFrame(meter, frame) || meter.peak() > MAX_PEAK) {
      throw new AudioError(
        "audio_corrupt",
        "The recording holds samples that are not finite numbers.",
      );
    }
    resampler.push(frame);
  }

  function drain(): void {
    for (;;) {
      const status = codec.receiveFrameSync(frame);
      if (status === AVERROR_EAGAIN || status === AVERROR_EOF) return;
      if (status < 0) {
        fault = true;
        return;
      }
      take();
      frame.unref();
    }
  }

  try {
    for (let packets = 1; ; packets += 1) {
      if (packets % PACKETS_A_TURN === 0) await setImmediate();
      const status = format.readFrameSync(packet);
      if (status < 0) {
        fault ||= status !== AVERROR_EOF;
        break;
      }
      if (packet.streamIndex === stream.index) {
        if (codec.sendPacketSync(packet) < 0) fault = true;
        drain();
        // A partial last packet of PCM still holds whole samples; elsewhere it is a frame cut in two.
        if (packet.flags & AV_PKT_FLAG_CORRUPT && header.container !== "wav") fault = true;
      }
      packet.unref();
    }
    codec.sendPacketSync(null);
    drain();
    resampler.flush();
  } finally {
    resampler.close();
    frame.free();
    packet.free();
  }
  judge({ audio, decoded_s, fault, damaged });
  return { duration_s: decoded_s, level: meter.result() };
}

interface Outcome {
  audio: OpenAudio;
  decoded_s: number;
  /** The last thing that the decoder said was an error. */
  fault: boolean;
  /** Sound went on after an error. */
  damaged: boolean;
}

function judge({ audio, decoded_s, fault, damaged }: Outcome): void {
  const { container, sample_rate_hz, expected_duration_s } = audio.header;
  if (decoded_s === 0) {
    if (fault) throw new AudioError("audio_corrupt", "Nothing in the file could be decoded.");
    throw new AudioError("audio_empty", "The file holds no sound.");
  }
  if (damaged) throw new AudioError("audio_corrupt", "The recording is damaged in the middle.");
  // Encoder delay and padding may or may not be counted by the container.
  const slack_s =
    container === "flac" ? 0.5 / sample_rate_hz : Math.max(0.1, 4096 / sample_rate_hz);
  const missing_s = expected_duration_s === null ? undefined : expected_duration_s - decoded_s;
  if (missing_s !== undefined && missing_s > slack_s) {
    // An ogg file's promise is its last page, which is there: what is missing was lost before it.
    throw new AudioError(
      container === "ogg" ? "audio_corrupt" : "audio_truncated",
      `The file promises ${expected_duration_s?.toFixed(2)} s of sound and holds ${decoded_s.toFixed(2)} s.`,
    );
  }
  if (fault && missing_s === undefined) {
    throw new AudioError("audio_truncated", "The last part of the recording cannot be decoded.");
  }
}

function tooLong(limitS: number): AudioError {
  const limit = limitS % 3600 === 0 ? `${limitS / 3600} hours` : `${limitS} s`;
  return new AudioError("audio_too_long", `The recording is longer than ${limit}.`);
}

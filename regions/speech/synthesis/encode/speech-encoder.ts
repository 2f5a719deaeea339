import {
  AV_CHANNEL_LAYOUT_MONO,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_SAMPLE_FMT_FLT,
  AV_SAMPLE_FMT_FLTP,
  AV_SAMPLE_FMT_S16,
  AV_SAMPLE_FMT_S16P,
} from "node-av/constants";
import type { FFEncoderCodec } from "node-av/constants";
import { Codec, CodecContext, FFmpegError, Packet, Rational } from "node-av/lib";
import { createRateConverter } from "./create-rate-converter.ts";
import { frameOf } from "./frame-of.ts";
import { createOggOpusWriter, opusSamples, type OggOpusWriter } from "./ogg-opus.ts";
import { encodedRate, type EncodedFormat } from "./protocol.ts";

/** Encodes one recording. Synchronous; runs in the encoder process only. */
export interface SpeechEncoder {
  push(samples: Int16Array): void;
  /** Writes what is left. */
  end(): void;
  close(): void;
}

interface Codecs {
  encoder: string;
  bitRate: number;
}

const CODECS: Record<Exclude<EncodedFormat, "pcm">, Codecs> = {
  mp3: { encoder: "libmp3lame", bitRate: 64_000 },
  opus: { encoder: "libopus", bitRate: 32_000 },
  flac: { encoder: "flac", bitRate: 0 },
};
/** In order of preference; every encoder here takes one of them. */
const SAMPLE_FORMATS = [
  AV_SAMPLE_FMT_S16,
  AV_SAMPLE_FMT_S16P,
  AV_SAMPLE_FMT_FLT,
  AV_SAMPLE_FMT_FLTP,
];
const FLAC_FRAME = 4096;
/** "fLaC", then the header of a metadata block: the last one, of type 0 (STREAMINFO), 34 bytes long. */
const FLAC_HEAD = [0x66, 0x4c, 0x61, 0x43, 0x80, 0, 0, 34];

const check = (status: number) => FFmpegError.throwIfError(status);

/** @param write takes bytes that are only valid during the call */
export function createSpeechEncoder(
  format: EncodedFormat,
  rate: number,
  write: (bytes: Uint8Array) => void,
): SpeechEncoder {
  const own = encodedRate(format, rate);
  const encoder =
    format === "pcm" ? createPcmEncoder(write) : createCodecEncoder(format, own, write);
  return own === rate ? encoder : atRate(rate, own, encoder);
}

/** 16-bit little-endian samples, without a header. */
const createPcmEncoder = (write: (bytes: Uint8Array) => void): SpeechEncoder => ({
  push: (samples) => write(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength)),
  end: () => undefined,
  close: () => undefined,
});

/** An encoder of one rate, given samples of another. */
function atRate(from: number, to: number, encoder: SpeechEncoder): SpeechEncoder {
  const converter = createRateConverter(from, to);
  return {
    push(samples) {
      for (const made of converter.push(samples)) encoder.push(made);
    },
    end() {
      for (const made of converter.end()) encoder.push(made);
      encoder.end();
    },
    close() {
      converter.close();
      encoder.close();
    },
  };
}

function createCodecEncoder(
  format: Exclude<EncodedFormat, "pcm">,
  rate: number,
  write: (bytes: Uint8Array) => void,
): SpeechEncoder {
  const { encoder: name, bitRate } = CODECS[format];
  const codec = Codec.findEncoderByName(name as FFEncoderCodec);
  const sampleFormat = SAMPLE_FORMATS.find((known) => codec?.sampleFormats?.includes(known));
  if (codec === null || sampleFormat === undefined) throw new Error(`this build has no ${name}`);
  const context = new CodecContext();
  context.allocContext3(codec);
  context.sampleFormat = sampleFormat;
  context.sampleRate = rate;
  context.channelLayout = AV_CHANNEL_LAYOUT_MONO;
  context.timeBase = new Rational(1, rate);
  context.bitRate = BigInt(bitRate);
  context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  context.threadCount = 1;
  check(context.open2Sync(codec, null));
  const size = context.frameSize || FLAC_FRAME;
  const packet = new Packet();
  packet.alloc();
  let pending = new Int16Array(0);
  let total = 0;
  let ogg: OggOpusWriter | undefined;
  let begun = false;

  /** The header goes out with the first packet, not before there is sound. */
  function begin(): void {
    begun = true;
    const extra = context.extraData;
    if (format === "flac" && extra !== null) write(Buffer.concat([Buffer.from(FLAC_HEAD), extra]));
    if (format === "opus" && extra !== null) {
      ogg = createOggOpusWriter(new Uint8Array(extra));
      write(ogg.head());
    }
  }

  function drain(): void {
    while (context.receivePacketSync(packet) >= 0) {
      if (!begun) begin();
      const { data } = packet;
      if (data !== null && data.length > 0) {
        if (ogg === undefined) write(data);
        else {
          const page = ogg.packet(new Uint8Array(data), opusSamples(size, rate));
          if (page !== undefined) write(page);
        }
      }
      packet.unref();
    }
  }

  function send(samples: Int16Array): void {
    const frame = frameOf(samples, sampleFormat!, rate, total);
    total += samples.length;
    check(context.sendFrameSync(frame));
    frame.free();
    drain();
  }

  return {
    push(samples) {
      const all = new Int16Array(pending.length + samples.length);
      all.set(pending);
      all.set(samples, pending.length);
      let at = 0;
      for (; at + size <= all.length; at += size) send(all.subarray(at, at + size));
      pending = all.slice(at);
    },
    end() {
      if (pending.length > 0) send(pending);
      check(context.sendFrameSync(null));
      drain();
      if (ogg !== undefined) write(ogg.end(opusSamples(total, rate)));
    },
    close() {
      packet.free();
      context.freeContext();
    },
  };
}

import {
  AVDISCARD_ALL,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
  AV_NOPTS_VALUE,
} from "node-av/constants";
import {
  avGetCodecName,
  Codec,
  CodecContext,
  Dictionary,
  FormatContext,
  InputFormat,
} from "node-av/lib";
import type { Stream } from "node-av/lib";
import { AudioError } from "./audio-error.ts";
import type { AudioHeader, Container } from "./audio-info.ts";
import type { ByteSource } from "./byte-source.ts";

const demuxers: Record<Container, string> = {
  wav: "wav",
  w64: "w64",
  flac: "flac",
  mp3: "mp3",
  aac: "aac",
  ogg: "ogg",
  mp4: "mov",
  webm: "matroska",
  amr: "amr",
  aiff: "aiff",
  caf: "caf",
  au: "au",
};

/** Decoders that are opened at all; video decoders never run, not even to probe. */
const audioDecoders =
  /^(pcm_(?!bluray|dvd|lxf|vidc|s64)\w+|adpcm_(ms|ima_wav|ima_qt|g722|g726|g726le|yamaha|swf)|g722|mp[123](float)?|aac(_fixed)?|alac|flac|opus|libopus|vorbis|libvorbis|speex|libspeex|gsm(_ms)?|libgsm(_ms)?|amr[nw]b|libopencore_amr[nw]b)$/;

/** libswresample takes more, but the frame's channels beyond the eighth are out of reach here. */
export const MAX_CHANNELS = 8;
/** Hz. */
export const MAX_RATE = 768_000;

export interface OpenAudio {
  format: FormatContext;
  stream: Stream;
  codec: CodecContext;
  header: AudioHeader;
  close(): void;
}

/**
 * Opens the best audio stream of a sniffed file through FFmpeg. The demuxer is given, not guessed; only the `file`
 * protocol exists; and the already open descriptor is read, so neither the name nor a swapped file matters.
 * @throws {AudioError} `audio_unsupported`, `audio_corrupt`
 */
export function openAudio(source: ByteSource, container: Container): OpenAudio {
  const demuxer = InputFormat.findInputFormat(demuxers[container]);
  if (demuxer === null)
    throw new AudioError("audio_unsupported", `This build reads no ${container}.`);
  const format = new FormatContext();
  format.allocContext();
  const codec = new CodecContext();
  const close = () => {
    codec.freeContext();
    format.closeInputSync();
  };
  try {
    const options = Dictionary.fromObject({
      protocol_whitelist: "file",
      format_whitelist: demuxer.name ?? "",
      codec_whitelist: decoderNames(),
    });
    if (format.openInputSync(`file:/dev/fd/${source.fd}`, demuxer, options) < 0) {
      throw new AudioError("audio_corrupt", `The ${container} header cannot be read.`);
    }
    // Kept from before the stream is probed: afterwards FFmpeg fills gaps with guesses from the bit rate.
    const early = new Map(format.streams.map((stream) => [stream.index, seconds(stream)]));
    const whole = format.duration <= 0n ? undefined : Number(format.duration) / 1e6;
    format.findStreamInfoSync();
    const best = format.findBestStream(AVMEDIA_TYPE_AUDIO, -1, -1, true, 0);
    const stream = format.streams.find(({ index }) => index === best.streamIndex);
    if (stream === undefined) {
      throw new AudioError(
        "audio_unsupported",
        `The ${container} file has no audio that can be decoded.`,
      );
    }
    const has_video = format.streams.some(isVideo);
    const expected_duration_s = early.get(stream.index) ?? (has_video ? undefined : whole) ?? null;
    const header = { ...describe(stream, container), has_video, expected_duration_s };
    const decoder = best.decoder ?? Codec.findDecoder(stream.codecpar.codecId);
    if (decoder === null || !audioDecoders.test(decoder.name ?? "")) {
      throw new AudioError("audio_unsupported", `The codec ${header.codec} is not supported.`);
    }
    for (const other of format.streams) {
      if (other.index !== stream.index) other.discard = AVDISCARD_ALL;
    }
    openCodec(codec, stream, decoder);
    return { format, stream, codec, header, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Cover art is a stream of its own kind, and no video. */
function isVideo({ codecpar, attachedPic }: Stream): boolean {
  return codecpar.codecType === AVMEDIA_TYPE_VIDEO && attachedPic === null;
}

function describe(stream: Stream, container: Container) {
  const { codecpar } = stream;
  const { channels, sampleRate } = codecpar;
  const codec = avGetCodecName(codecpar.codecId) ?? "unknown";
  if (!(channels >= 1 && sampleRate >= 1)) {
    throw new AudioError("audio_corrupt", "The sample rate or the channels are not known.");
  }
  if (channels > MAX_CHANNELS) {
    throw new AudioError("audio_unsupported", `${channels} channels; ${MAX_CHANNELS} is the most.`);
  }
  if (sampleRate > MAX_RATE) {
    throw new AudioError("audio_unsupported", `${sampleRate} Hz; ${MAX_RATE} Hz is the most.`);
  }
  return {
    container,
    codec: codec.slice(0, 40),
    sample_rate_hz: sampleRate,
    channels,
  };
}

function openCodec(codec: CodecContext, stream: Stream, decoder: Codec): void {
  codec.allocContext3(decoder);
  codec.parametersToContext(stream.codecpar);
  codec.pktTimebase = stream.timeBase;
  codec.threadCount = 1;
  // FLAC carries checksums that are worth an error; other codecs report oddities that every player forgives.
  // Set as an option, not passed to open2: node-av 6.1.1 frees a dictionary twice that open2 has consumed.
  if (decoder.name === "flac") codec.setOption("err_detect", "crccheck+explode");
  if (codec.open2Sync(decoder, null) < 0) {
    throw new AudioError("audio_corrupt", `The ${decoder.name} stream cannot be opened.`);
  }
}

function seconds(stream: Stream): number | undefined {
  if (stream.duration === AV_NOPTS_VALUE || stream.duration <= 0n) return undefined;
  return (Number(stream.duration) * stream.timeBase.num) / stream.timeBase.den;
}

let names: string | undefined;
function decoderNames(): string {
  names ??= Codec.getCodecList()
    .flatMap((codec) =>
      codec.isDecoder() && audioDecoders.test(codec.name ?? "") ? [codec.name] : [],
    )
    .join(",");
  return names;
}

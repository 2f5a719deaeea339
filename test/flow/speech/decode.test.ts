import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AudioError } from "../../../regions/speech/decode/audio-error.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { DecoderError } from "../../../regions/speech/decode/decoder-error.ts";
import { decodeAll, failure, fixturePath, makeFolder, samplePath } from "./fixtures.ts";
import { holdTheClock } from "./hold-the-clock.ts";

const decoder = createDecoder();
let folder: Awaited<ReturnType<typeof makeFolder>>;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(async () => {
  await decoder.close();
  await folder.remove();
});

const SAMPLE_S = 2.659375;

describe("every format gives the samples of the wav", () => {
  test.each([
    ["speech.flac", "flac", "flac", 0],
    ["speech.aiff", "aiff", "pcm_s16be", 0],
    ["speech.mp3", "mp3", "mp3", 0.05],
    ["speech-opus.ogg", "ogg", "opus", 0.05],
    ["speech-vorbis.ogg", "ogg", "vorbis", 0.05],
    ["speech.m4a", "mp4", "aac", 0.05],
    ["speech.aac", "aac", "aac", 0.1],
    ["speech.webm", "webm", "opus", 0.05],
  ])("%s", async (name, container, codec, slack_s) => {
    const { samples, info } = await decodeAll(decoder, fixturePath(name));
    expect(info).toMatchObject({ container, codec, channels: 1, has_video: false });
    expect(Math.abs(info.duration_s - SAMPLE_S)).toBeLessThanOrEqual(slack_s);
    expect(Math.abs(samples.length / 16_000 - info.duration_s)).toBeLessThan(0.001);
    const wav = await decodeAll(decoder, samplePath);
    expect(Math.abs((info.level.rms_dbfs ?? 0) - (wav.info.level.rms_dbfs ?? 0))).toBeLessThan(0.6);
    if (slack_s === 0)
      expect(Buffer.from(samples.buffer).equals(Buffer.from(wav.samples.buffer))).toBe(true);
  });

  test("eight channels of the same speech keep its loudness", async () => {
    const { samples, info } = await decodeAll(decoder, fixturePath("speech-8-channels.wav"));
    expect(info).toMatchObject({ channels: 8, duration_s: 0.5 });
    expect(decibels(samples)).toBeCloseTo(info.level.rms_dbfs ?? 0, 2);
  });

  test("192 kHz come down to 16 kHz", async () => {
    const { samples, info } = await decodeAll(decoder, fixturePath("speech-192khz.wav"));
    expect(info).toMatchObject({ sample_rate_hz: 192_000, duration_s: 0.5 });
    expect(samples.length).toBe(8000);
  });

  test("silence is a result", async () => {
    const { samples, info } = await decodeAll(decoder, fixturePath("silence.wav"));
    expect(samples.every((sample) => sample === 0)).toBe(true);
    expect(info.level).toMatchObject({ silent: true, rms_dbfs: null, peak_dbfs: null });
  });
});

describe("each bad file is refused with its code", () => {
  test.each([
    ["empty.wav", "audio_empty"],
    ["zero-seconds.wav", "audio_empty"],
    ["not-audio.wav", "audio_unsupported"],
    ["not-a-number.wav", "audio_corrupt"],
    ["corrupt.flac", "audio_corrupt"],
    ["truncated.wav", "audio_truncated"],
    ["truncated.flac", "audio_truncated"],
    ["truncated.mp3", "audio_truncated"],
    ["truncated-opus.ogg", "audio_truncated"],
    ["truncated.m4a", "audio_truncated"],
    ["truncated.webm", "audio_truncated"],
  ])("%s: %s", async (name, code) => {
    const error = await failure(decodeAll(decoder, fixturePath(name)));
    expect(error).toBeInstanceOf(AudioError);
    expect(error).toMatchObject({ code, retryable: false });
  });

  test("an m4a whose index never came is truncated", async () => {
    const whole = await readFile(fixturePath("speech.m4a"));
    const path = await folder.write("no-index.m4a", whole.subarray(0, whole.indexOf("moov") - 4));
    expect(await failure(decodeAll(decoder, path))).toMatchObject({ code: "audio_truncated" });
  });

  test("a folder and a file that is missing", async () => {
    expect(await failure(decodeAll(decoder, folder.path(".")))).toMatchObject({
      code: "audio_unsupported",
    });
    expect(await failure(decodeAll(decoder, folder.path("none.wav")))).toMatchObject({
      code: "file_unreadable",
    });
  });

  test("a recording that says it is too long is refused before it is decoded", async () => {
    const path = await folder.silence("seven-hours.wav", 7 * 3600);
    const blocks: unknown[] = [];
    const decoding = async () => {
      for await (const block of decoder.decode(path, { maxDurationS: 6 * 3600 }))
        blocks.push(block);
    };
    expect(await failure(decoding())).toMatchObject({ code: "audio_too_long" });
    expect(blocks).toHaveLength(0);
  });

  test("a recording that hides its length is refused when the limit is passed", async () => {
    const error = await failure(decodeAll(decoder, fixturePath("speech.aac"), { maxDurationS: 1 }));
    expect(error).toMatchObject({ code: "audio_too_long" });
  });
});

test("playlists and session descriptions under an audio name open no connection", async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    for (const name of ["playlist.m3u8", "concat.ffconcat", "session.sdp"]) {
      const text = (await readFile(fixturePath(name), "utf8")).replaceAll(/:9\/|audio 9 /g, (at) =>
        at.replace("9", `${port}`),
      );
      expect(text).toContain(String(port));
      for (const ending of ["mp3", "wav", "m3u8", "sdp", "ffconcat"]) {
        const path = await folder.write(`disguised.${ending}`, text);
        expect(await failure(decodeAll(decoder, path))).toMatchObject({
          code: "audio_unsupported",
        });
      }
    }
    expect(connections).toBe(0);
  } finally {
    server.close();
  }
});

describe("a decoder that fails", () => {
  test("kill -9 in mid-decode fails that file with an error worth a retry, and the next one decodes", async () => {
    const pids: (number | undefined)[] = [];
    const own = createDecoder({ onSpawn: (pid) => pids.push(pid) });
    try {
      const path = await folder.silence("killed.wav", 3600);
      const decoding = async () => {
        for await (const block of own.decode(path)) {
          expect(block.length).toBe(16_000);
          if (pids[0] !== undefined) process.kill(pids[0], "SIGKILL");
        }
      };
      const error = await failure(decoding());
      expect(error).toBeInstanceOf(DecoderError);
      expect(error).toMatchObject({ code: "decoder_crashed", retryable: true });
      expect((await decodeAll(own, samplePath)).info.duration_s).toBe(SAMPLE_S);
      expect(pids).toHaveLength(2);
    } finally {
      await own.close();
    }
  });

  test("a decoder that hangs is killed and the next file decodes", async () => {
    const pass = holdTheClock();
    const pids: number[] = [];
    const own = createDecoder({ stallMs: 5000, onSpawn: (pid) => pids.push(pid ?? 0) });
    try {
      const path = await folder.silence("hung.wav", 3600);
      const hangs = Promise.withResolvers<void>();
      const decoding = async () => {
        for await (const block of own.decode(path)) {
          expect(block.length).toBe(16_000);
          for (const pid of pids) process.kill(pid, "SIGSTOP");
          hangs.resolve();
        }
      };
      let isOver = false;
      const failed = failure(decoding()).finally(() => (isOver = true));
      await hangs.promise;
      // What it had sent before may be read first, for which it has its time anew.
      await expect.poll(() => pass(5000).then(() => isOver)).toBe(true);
      expect(await failed).toMatchObject({ code: "decoder_stalled", retryable: true });
      expect((await decodeAll(own, samplePath)).info.duration_s).toBe(SAMPLE_S);
    } finally {
      await own.close();
    }
  });

  test("an abort ends the decode with its reason and the process with it", async () => {
    const pids: number[] = [];
    const own = createDecoder({ onSpawn: (pid) => pids.push(pid ?? 0) });
    try {
      const path = await folder.silence("aborted.wav", 3600);
      const stop = new AbortController();
      const reason = new Error("enough");
      let blocks = 0;
      const decoding = async () => {
        for await (const block of own.decode(path, { signal: stop.signal })) {
          blocks += block.length / 16_000;
          stop.abort(reason);
        }
      };
      expect(await failure(decoding())).toBe(reason);
      expect(blocks).toBe(1);
      expect((await decodeAll(own, samplePath)).info.duration_s).toBe(SAMPLE_S);
      await expect.poll(() => existsSync(`/proc/${pids[0]}/exe`)).toBe(false);
    } finally {
      await own.close();
    }
  });

  test("closing fails what is in progress", async () => {
    const own = createDecoder();
    const path = await folder.silence("closed.wav", 3600);
    const decoding = async () => {
      for await (const block of own.decode(path)) if (block.length > 0) void own.close();
    };
    expect(await failure(decoding())).toMatchObject({ code: "decoder_closed" });
  });
});

test("a process is reused for good files and replaced after its share of them", async () => {
  const pids: unknown[] = [];
  const own = createDecoder({ jobsPerProcess: 2, onSpawn: (pid) => pids.push(pid) });
  try {
    for (let i = 0; i < 3; i += 1) await decodeAll(own, samplePath);
    expect(pids).toHaveLength(2);
  } finally {
    await own.close();
  }
});

test("one process decodes file after file without dying", async () => {
  const pids: unknown[] = [];
  const own = createDecoder({ jobsPerProcess: 1000, onSpawn: (pid) => pids.push(pid) });
  try {
    // FLAC takes options to its codec: what native code frees too often is noticed at a later garbage collection.
    for (let i = 0; i < 150; i += 1) await decodeAll(own, fixturePath("speech.flac"));
    expect(pids).toHaveLength(1);
  } finally {
    await own.close();
  }
});

test("an hour passes through bounded memory", async () => {
  const path = await folder.silence("hour.wav", 3600);
  let samples = 0;
  let highest = 0;
  const before = process.memoryUsage().rss;
  for await (const block of decoder.decode(path)) {
    samples += block.length;
    highest = Math.max(highest, process.memoryUsage().rss);
  }
  expect(samples).toBe(3600 * 16_000);
  // The samples are 230 MB.
  expect(highest - before).toBeLessThan(150e6);
});

function decibels(samples: Float32Array): number {
  return (
    10 * Math.log10(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length)
  );
}

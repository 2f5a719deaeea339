import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { fliteVoices as voices, SpeechFormat } from "../../../shared/contracts/speech.ts";
import type { AudioInfo } from "../../../regions/speech/decode/audio-info.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import {
  createSynthesizer,
  type SpeechSummary,
  type Synthesizer,
} from "../../../regions/speech/synthesis/create-synthesizer.ts";
import {
  createFliteEngine,
  type FliteEngineOptions,
} from "../../../regions/speech/synthesis/flite/create-flite-engine.ts";
import type { SpeechEngine } from "../../../regions/speech/synthesis/speech-engine.ts";
import { SynthesisError } from "../../../regions/speech/synthesis/synthesis-error.ts";

const engine = createFliteEngine();
const synthesizer = createSynthesizer({ engine });
/** For engines around the one that all tests share. */
const shared = { ...engine, close: () => Promise.resolve() };
const decoder = createDecoder();
const folder = await mkdtemp(join(tmpdir(), "antiphon-speech-"));
afterAll(async () => {
  await Promise.all([synthesizer.close(), decoder.close()]);
  await rm(folder, { recursive: true });
});

const never = new AbortController().signal;
const FOX = "the quick brown fox jumps over the lazy dog.";
const THREE = "The quick brown fox jumps. It is over the lazy dog! Is it not?";

async function speak(
  input: string,
  { voice = "slt", format = "wav" as SpeechFormat, speed = 1, by = synthesizer } = {},
): Promise<{ bytes: Buffer; summary: SpeechSummary }> {
  const chunks: Uint8Array[] = [];
  let summary: SpeechSummary | undefined;
  const prepared = by.prepare({ input, voice, format, speed });
  for await (const bytes of prepared.audio(never, (end) => (summary = end))) chunks.push(bytes);
  return { bytes: Buffer.concat(chunks), summary: summary! };
}

async function decode(bytes: Buffer): Promise<AudioInfo> {
  const path = join(folder, "speech");
  await writeFile(path, bytes);
  let info: AudioInfo | undefined;
  const blocks = decoder.decode(path, { onInfo: (found) => (info = found) });
  for await (const block of blocks) expect(block.length).toBeGreaterThan(0);
  return info!;
}

const rms = (samples: Int16Array) =>
  Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);

describe.each(voices.map(({ id }) => id))("the voice %s", (voice) => {
  test("speaks nine words in two to four seconds, audibly and unclipped, the same each time", async () => {
    const samples = await engine.speak({ text: FOX, voice, speed: 1 });
    const seconds = samples.length / engine.sampleRate;
    expect(seconds).toBeGreaterThan(2);
    expect(seconds).toBeLessThan(4);
    expect(rms(samples)).toBeGreaterThan(500);
    expect(samples.filter((sample) => Math.abs(sample) > 32_700).length).toBeLessThan(10);
    // Another text in between leaves nothing behind.
    await engine.speak({ text: "something else", voice, speed: 2 });
    expect(await engine.speak({ text: FOX, voice, speed: 1 })).toEqual(samples);
  });

  test.each([0.25, 0.5, 2, 4])("takes 1/%s of the time at that speed", async (speed) => {
    const whole = await engine.speak({ text: FOX, voice, speed: 1 });
    const paced = await engine.speak({ text: FOX, voice, speed });
    const ratio = (paced.length * speed) / whole.length;
    expect(ratio).toBeGreaterThan(0.8);
    expect(ratio).toBeLessThan(1.2);
  });
});

test("the voices differ", async () => {
  const all = await Promise.all(
    voices.map(({ id }) => engine.speak({ text: "hello", voice: id, speed: 1 })),
  );
  expect(new Set(all.map((samples) => samples.length)).size).toBe(voices.length);
});

describe.each(SpeechFormat.options)("%s", (format) => {
  test("holds what was spoken, at its rate, and gives equal bytes for equal text", async () => {
    const { bytes, summary } = await speak(THREE, { format });
    expect(summary.pieces).toBe(3);
    expect(summary.duration_s).toBeGreaterThan(3);
    const wav = await decode((await speak(THREE)).bytes);
    if (format === "pcm") {
      expect(bytes.length / 2 / 24_000).toBeCloseTo(summary.duration_s, 2);
      const samples = new Int16Array(new Uint8Array(bytes).buffer);
      expect(20 * Math.log10(rms(samples) / 32_768)).toBeCloseTo(wav.level.rms_dbfs!, 0);
    } else {
      const info = await decode(bytes);
      expect(info).toMatchObject({
        container: format === "opus" ? "ogg" : format,
        sample_rate_hz: format === "opus" ? 48_000 : 16_000,
        channels: 1,
      });
      // An mp3 keeps its encoder's delay.
      expect(Math.abs(info.duration_s - summary.duration_s)).toBeLessThan(
        format === "mp3" ? 0.15 : 0.001,
      );
      expect(Math.abs(info.level.rms_dbfs! - wav.level.rms_dbfs!)).toBeLessThan(1);
    }
    expect((await speak(THREE, { format })).bytes.equals(bytes)).toBe(true);
  });

  test("begins to flow before the last sentence is spoken", async () => {
    const heard = Promise.withResolvers<void>();
    const gated: SpeechEngine = {
      ...shared,
      async speak(piece, signal) {
        if (piece.text.includes("is it not")) await heard.promise;
        return engine.speak(piece, signal);
      },
    };
    const by = createSynthesizer({ engine: gated });
    onTestFinished(() => by.close());
    const prepared = by.prepare({ input: THREE, voice: "kal", format, speed: 1 });
    let bytes = 0;
    for await (const chunk of prepared.audio(never)) {
      bytes += chunk.length;
      // Without a byte before it, the last sentence would wait for ever.
      heard.resolve();
    }
    expect(bytes).toBeGreaterThan(1000);
  });

  test("left in the middle, says no further sentence", async () => {
    const begun: string[] = [];
    const counting: SpeechEngine = {
      ...shared,
      speak: (piece, signal) => {
        begun.push(piece.text);
        return engine.speak(piece, signal);
      },
    };
    const by = createSynthesizer({ engine: counting });
    onTestFinished(() => by.close());
    const input = "a".repeat(65_536);
    const prepared = by.prepare({ input, voice: "kal", format, speed: 1 });
    for await (const _ of prepared.audio(never)) break;
    const said = begun.length;
    // A later text is spoken after whatever was still on its way.
    await speak("done.", { voice: "kal", by });
    expect(begun.slice(said).filter((text) => text !== "done.").length).toBeLessThanOrEqual(1);
    expect(begun.length).toBeLessThan(20);
  });
});

test("a wav of one sentence says its length; a longer one streams, and cannot", async () => {
  const one = (await speak("hello there.")).bytes;
  expect(one.readUInt32LE(40)).toBe(one.length - 44);
  expect(one.readUInt32LE(4)).toBe(one.length - 8);
  expect((await speak(THREE)).bytes.readUInt32LE(40)).toBe(0xffff_ffff);
});

test("equal content has equal keys: what is said counts, not how it is written", () => {
  const order = { input: "Dr. Smith has 5.", voice: "slt", format: "mp3", speed: 1 } as const;
  const keyOf = (more: object, by: Synthesizer = synthesizer) =>
    by.prepare({ ...order, ...more }).contentKey;
  expect(keyOf({})).toMatch(/^[0-9a-f]{64}$/);
  expect(keyOf({ input: "Doctor   Smith has five." })).toBe(keyOf({}));
  const newer = createSynthesizer({ engine: { ...engine, version: "next" } });
  const others = [
    keyOf({ input: "Dr. Smith has 6." }),
    keyOf({ voice: "rms" }),
    keyOf({ format: "wav" }),
    keyOf({ speed: 1.1 }),
    keyOf({}, newer),
  ];
  expect(new Set([keyOf({}), ...others]).size).toBe(6);
});

describe("an engine in trouble", () => {
  const broken = (code: string, more: FliteEngineOptions = {}) => {
    const started: Worker[] = [];
    const made = createFliteEngine({
      threads: 1,
      ...more,
      startThread: (data) => {
        // The first thread is the broken one.
        const worker =
          started.length === 0
            ? new Worker(code, { eval: true })
            : new Worker(
                new URL("../../../regions/speech/synthesis/flite/flite-thread.ts", import.meta.url),
                { workerData: data },
              );
        started.push(worker);
        return worker;
      },
    });
    onTestFinished(() => made.close());
    return { made, started };
  };
  const STUCK = "require('worker_threads').parentPort.once('message', () => { for (;;); })";
  const piece = { text: "hello", voice: "kal", speed: 1 };

  test("that is stuck ends with its caller, and the next text is spoken", async () => {
    const begun = Promise.withResolvers<void>();
    const { made, started } = broken(STUCK, { onRun: () => begun.resolve() });
    const leave = new AbortController();
    const spoken = made.speak(piece, leave.signal);
    await begun.promise;
    const next = made.speak(piece);
    leave.abort();
    await expect(spoken).rejects.toMatchObject({ name: "AbortError" });
    expect(started[0]!.threadId).toBe(-1);
    expect((await next).length).toBeGreaterThan(1000);
  });

  test("that is stuck is given up after its time", async () => {
    const { made } = broken(STUCK, { stallMs: 50 });
    await expect(made.speak(piece)).rejects.toMatchObject({ code: "synthesis_stalled" });
  });

  test("whose thread dies is tried once more on another", async () => {
    const { made, started } = broken(
      "require('worker_threads').parentPort.once('message', () => process.exit(7))",
    );
    expect((await made.speak(piece)).length).toBeGreaterThan(1000);
    expect(started.length).toBe(2);
  });

  test("whose module is missing or another file says so", async () => {
    const wrong = join(folder, "flite.wasm");
    await writeFile(wrong, "not it");
    for (const [modulePath, code] of [
      [join(folder, "none.wasm"), "voice_model_missing"],
      [wrong, "voice_model_corrupt"],
    ] as const) {
      const made = createFliteEngine({ modulePath });
      await expect(made.speak(piece)).rejects.toMatchObject({ code });
      await made.close();
    }
  });

  test("that was closed speaks no more", async () => {
    const made = createFliteEngine();
    await made.close();
    await expect(made.speak(piece)).rejects.toBeInstanceOf(SynthesisError);
  });
});

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import type { AudioInfo } from "../../../regions/speech/decode/audio-info.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createInference } from "../../../regions/speech/inference/create-inference.ts";
import type { Inference } from "../../../regions/speech/inference/create-inference-thread.ts";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import { createSynthesizer } from "../../../regions/speech/synthesis/create-synthesizer.ts";
import {
  createVoices,
  type VoicesOptions,
} from "../../../regions/speech/synthesis/create-voices.ts";
import { createEncoderPool } from "../../../regions/speech/synthesis/encode/create-encoder-pool.ts";
import { createFliteEngine } from "../../../regions/speech/synthesis/flite/create-flite-engine.ts";
import { createFliteThreads } from "../../../regions/speech/synthesis/flite/create-flite-threads.ts";
import { createPronouncer } from "../../../regions/speech/synthesis/phonemes/create-pronouncer.ts";
import { spellIpa } from "../../../regions/speech/synthesis/phonemes/spell-ipa.ts";
import { MAX_SPEECH_CHARACTERS, type SpeechFormat } from "../../../shared/contracts/speech.ts";
import { speechEngineConformance } from "./speech-engine-conformance.ts";
import {
  installTinyVoices,
  KOKORO,
  PIPER,
  SPEAKERS,
  styleFile,
  voicesReference,
} from "./tiny-voices.ts";

const installed = installTinyVoices();
const flite = createFliteThreads();
const shared = { run: flite.run, close: () => Promise.resolve() };
const voices = createVoices({ manifest: installed.manifest, flite: shared, rescanMs: Infinity });
const encoders = createEncoderPool();
const synthesizer = createSynthesizer({ voices, encoders });
const decoder = createDecoder();
const folder = await mkdtemp(join(tmpdir(), "antiphon-neural-"));
afterAll(async () => {
  await Promise.all([synthesizer.close(), decoder.close(), flite.close()]);
  installed.drop();
  await rm(folder, { recursive: true });
});

const never = new AbortController().signal;

function voicesOf(options: VoicesOptions) {
  const made = createVoices({ flite: shared, rescanMs: 0, ...options });
  onTestFinished(() => made.close());
  return made;
}

function ownInstall() {
  const own = installTinyVoices();
  onTestFinished(() => own.drop());
  return own;
}

/** An engine by one of its voices, with voices of its own behind it. */
function engineOf(voice: string) {
  return () => {
    const made = createVoices({ manifest: installed.manifest, flite: shared });
    return { engine: made.find(voice), close: () => made.close() };
  };
}

speechEngineConformance("flite", () => {
  const engine = createFliteEngine();
  return { engine, close: () => engine.close() };
});
speechEngineConformance("Kokoro", engineOf("af_heart"));
speechEngineConformance("Piper", engineOf(PIPER.name));

describe("agree with numpy", () => {
  const pronounce = createPronouncer(shared);
  const { every, kokoro, piper, piper_speakers } = voicesReference;
  const voiceOf = (speaker: number) => `${SPEAKERS.name}:p10${speaker}`;
  const cases = [
    ...kokoro.map((said) => ({ ...said, voice: "af_heart", style: "misaki" as const, dropped: 0 })),
    ...piper.map((said) => ({ ...said, voice: PIPER.name, style: "espeak" as const })),
    ...piper_speakers.map((said) => ({
      ...said,
      voice: voiceOf(said.speaker),
      style: "espeak" as const,
    })),
  ];

  test.each(cases)("$voice says “$text” as $ipa", async (said) => {
    const { text, voice, style, speed } = said;
    const words = await pronounce(text);
    expect(words.map((word) => spellIpa(word, style) + word.mark).join(" ")).toBe(said.ipa);

    let dropped = 0;
    const own = voicesOf({
      manifest: installed.manifest,
      onDropped: (count) => (dropped += count),
    });
    const engine = own.find(voice);
    const samples = await engine.speak({ text, voice, speed });
    // A sentence of Piper's has silence behind it.
    const pause = style === "espeak" ? Math.round(engine.sampleRate * 0.2) : 0;
    expect(samples.length).toBe(said.length + pause);
    expect(samples.subarray(said.length).every((sample) => sample === 0)).toBe(true);
    const worst = Math.max(
      ...said.samples.map((wanted, i) => Math.abs(samples[i * every]! - wanted * 32_767)),
    );
    expect(worst).toBeLessThanOrEqual(1.5);
    expect(dropped).toBe(said.dropped);
  });
});

describe("pronunciation", () => {
  const pronounce = createPronouncer(shared);
  const ipa = async (text: string) =>
    (await pronounce(text)).map((word) => spellIpa(word, "misaki") + word.mark).join(" ");

  test("is that of the sentence: articles, homographs, weak words, flapped t", async () => {
    expect(await ipa("the apple, the pear and a plum.")).toBe("ði ˈæpᵊl, ðə pˈɛɹ ænd ə plˈʌm.");
    expect(await ipa("the water is live, i live here and i have read it.")).toBe(
      "ðə wˈɔɾəɹ ɪz lˈIv, I lˈɪv hˈɪɹ ænd I hæv ɹˈɛd ɪt.",
    );
  });

  test("has one primary stress a word, and the others secondary", async () => {
    expect(await ipa("mozzarella multiplication mousetrap mulberry mutant must.")).toBe(
      "mˌɑtsɑɹˈɛlə mˌʌltəpləkˈAʃən mˈWstɹˌæp mˈʌlbˌɛɹi mjˈutᵊnt mʌst.",
    );
  });

  test("keeps every word apart, with its mark", async () => {
    const text = "let's see: john's cat, zzyzx! what?";
    const words = await pronounce(text);
    expect(words.map(({ text: word, mark }) => word + mark).join(" ")).toBe(text);
    expect(words.every(({ phones }) => phones.length > 0)).toBe(true);
    expect(words.at(-1)!.phones.map(({ name }) => name)).toEqual(["w", "ah", "t"]);
  });
});

test("no call has more symbols than Kokoro takes: 510, and a pad at each end", async () => {
  const inference = createInference();
  const lengths: number[] = [];
  const watched: Inference = {
    run(task, model, input, options) {
      if ("ids" in input) lengths.push(input.ids.length);
      return inference.run(task, model, input, options);
    },
    close: () => inference.close(),
  };
  const made = voicesOf({ manifest: installed.manifest, inference: watched });
  const letters = "w ".repeat(100).trim();
  await made.find("af_heart").speak({ text: letters, voice: "af_heart", speed: 1 });
  expect(lengths.length).toBe(2);
  expect(Math.max(...lengths)).toBeGreaterThan(490);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(512);
});

describe("the voices there are", () => {
  test("are flite's and those that are installed and speak English", () => {
    const listed = voices.list();
    expect(listed.map(({ id }) => id)).toEqual([
      "slt",
      "rms",
      "awb",
      "kal",
      "af_heart",
      "bm_george",
      PIPER.name,
      ...["p100", "p101", "p102"].map((speaker) => `${SPEAKERS.name}:${speaker}`),
    ]);
    expect(listed.find(({ id }) => id === "bm_george")).toMatchObject({
      language: "en-GB",
      sex: "male",
      engine: "kokoro",
      sample_rate_hz: 24_000,
    });
    expect(listed.find(({ aliases }) => aliases.includes(SPEAKERS.name))?.id).toBe(
      `${SPEAKERS.name}:p100`,
    );
    expect(listed.find(({ id }) => id === PIPER.name)).toMatchObject({
      language: "en-US",
      engine: "piper",
      sample_rate_hz: 22_050,
    });
  });

  test("of another language say so, and are not listed", () => {
    expect(() => voices.find("ef_dora")).toThrow(
      expect.objectContaining({ code: "language_unsupported" }),
    );
    const own = ownInstall();
    const german = own.read("piper", "tiny.onnx.json").toString().replace("en_US", "de_DE");
    own.put("piper", "tiny.onnx.json", german);
    const made = voicesOf({ manifest: own.manifest });
    expect(() => made.find(PIPER.name)).toThrow(/speaks de-DE/);
    expect(made.list().map(({ id }) => id)).not.toContain(PIPER.name);
  });

  test("that are known and not installed name the command; one that nobody knows names those there are", () => {
    const made = voicesOf({ manifest: () => loadManifest(undefined, folder) });
    expect(made.list().map(({ id }) => id)).toEqual(["slt", "rms", "awb", "kal"]);
    expect(() => made.find("af_heart")).toThrow(
      expect.objectContaining({
        code: "voice_not_installed",
        message: expect.stringContaining("npm run models -- pull kokoro-82m") as string,
      }),
    );
    expect(() => made.find("nobody")).toThrow(
      expect.objectContaining({
        code: "invalid_request",
        errors: [{ path: "voice", message: expect.stringContaining("slt, rms") as string }],
      }),
    );
  });

  test("come and go with their models while it runs", () => {
    const own = ownInstall();
    const before = own.manifest();
    const made = voicesOf({ manifest: () => before });
    expect(made.find("af_heart").name).toBe(KOKORO.name);
    own.remove("kokoro");
    expect(() => made.find("af_heart")).toThrow(/not installed/);
    expect(made.list().map(({ id }) => id)).not.toContain("af_heart");
  });

  test("make other content from other files: what was kept of the old ones is not found", () => {
    const order = { input: "Hello.", voice: "af_heart", format: "mp3", speed: 1 } as const;
    const own = ownInstall();
    const keyNow = () => {
      const by = createSynthesizer({ voices: voicesOf({ manifest: own.manifest }), encoders });
      return by.prepare(order).contentKey;
    };
    const first = keyNow();
    expect(first).toBe(synthesizer.prepare(order).contentKey);
    own.put("kokoro", "voices/af_heart.bin", new Uint8Array(styleFile().fill(1).buffer));
    expect(keyNow()).not.toBe(first);
  });
});

describe("a damaged model", () => {
  const piece = (voice: string) => ({ text: "hello.", voice, speed: 1 });

  test.each([
    ["cut short", new Uint8Array(1000), "1000 bytes instead of 522240"],
    [
      "with a row too many",
      new Uint8Array(styleFile(511).buffer),
      "523264 bytes instead of 522240",
    ],
    ["of no numbers", new Uint8Array(styleFile().fill(Number.NaN).buffer), "no numbers"],
  ])("with a style file %s is told of, and other voices speak", async (_, bytes, told) => {
    const own = ownInstall();
    own.put("kokoro", "voices/af_heart.bin", bytes);
    const made = voicesOf({ manifest: own.manifest });
    await expect(made.find("af_heart").speak(piece("af_heart"))).rejects.toMatchObject({
      code: "voice_model_corrupt",
      message: expect.stringContaining(told) as string,
    });
    expect((await made.find("bm_george").speak(piece("bm_george"))).length).toBeGreaterThan(1000);
  });

  test("that was swapped for another of its length is not used", async () => {
    const own = ownInstall();
    const before = own.manifest();
    own.put("kokoro", "voices/af_heart.bin", new Uint8Array(styleFile().fill(1).buffer));
    const made = voicesOf({ manifest: () => before });
    await expect(made.find("af_heart").speak(piece("af_heart"))).rejects.toMatchObject({
      code: "voice_model_corrupt",
    });
  });

  test.each([
    ["no phoneme map", { phoneme_id_map: undefined }, "phoneme_id_map"],
    ["a map without an end", { phoneme_id_map: { _: [0], "^": [1] } }, "lacks one of"],
    ["letters for symbols", { phoneme_type: "text" }, "phoneme_type"],
    ["no rate", { audio: {} }, "audio.sample_rate"],
    ["a speaker too many", { speaker_id_map: { one: 0, two: 1 } }, "more speakers"],
  ])("with a config that has %s is refused by name, and other voices stay", (_, more, told) => {
    const own = ownInstall();
    const config = JSON.parse(own.read("piper", "tiny.onnx.json").toString()) as object;
    own.put("piper", "tiny.onnx.json", JSON.stringify({ ...config, ...more }));
    const made = voicesOf({ manifest: own.manifest });
    expect(() => made.find(PIPER.name)).toThrow(told);
    const ids = made.list().map(({ id }) => id);
    expect(ids).not.toContain(PIPER.name);
    expect(ids).toContain(`${SPEAKERS.name}:p100`);
  });

  test("whose config is no JSON is refused too", () => {
    const own = ownInstall();
    own.put("piper", "tiny.onnx.json", "{");
    expect(() => voicesOf({ manifest: own.manifest }).find(PIPER.name)).toThrow("is not JSON");
  });

  test("whose graph has other inputs is told of, not run", async () => {
    const own = ownInstall();
    own.put("kokoro", "onnx/model.onnx", own.read("piper", "tiny.onnx"));
    own.put("piper", "tiny.onnx", own.read("speakers", "tiny-speakers.onnx").subarray(0, 5000));
    const made = voicesOf({ manifest: own.manifest });
    await expect(made.find("af_heart").speak(piece("af_heart"))).rejects.toMatchObject({
      code: "model_mismatch",
      message: expect.stringContaining("input, input_lengths, scales") as string,
    });
    await expect(made.find(PIPER.name).speak(piece(PIPER.name))).rejects.toMatchObject({
      code: "model_unreadable",
    });
    const speaks = made.find(SPEAKERS.name);
    expect((await speaks.speak(piece(SPEAKERS.name))).length).toBeGreaterThan(1000);
  });
});

test("a thread that dies in a sentence is replaced, and the sentence said", async () => {
  const entry = new URL("../../../regions/speech/inference/inference-thread.ts", import.meta.url);
  const dying = "require('worker_threads').parentPort.once('message', () => process.exit(7))";
  let spawned = 0;
  const inference = createInference({
    startThread: () => {
      spawned += 1;
      return spawned === 1 ? new Worker(dying, { eval: true }) : new Worker(entry);
    },
  });
  const made = voicesOf({ manifest: installed.manifest, inference });
  const spoken = await made.find("af_heart").speak({ text: "hello.", voice: "af_heart", speed: 1 });
  expect(spoken.length).toBeGreaterThan(1000);
  expect(spawned).toBe(2);
});

describe("through the synthesizer", () => {
  async function speak(input: string, voice: string, format: SpeechFormat = "wav") {
    const prepared = synthesizer.prepare({ input, voice, format, speed: 1 });
    const chunks: Uint8Array[] = [];
    for await (const bytes of prepared.audio(never)) chunks.push(bytes);
    return { bytes: Buffer.concat(chunks), chunks, prepared };
  }

  async function decode(bytes: Buffer): Promise<AudioInfo> {
    const path = join(folder, "speech");
    await writeFile(path, bytes);
    let info: AudioInfo | undefined;
    const blocks = decoder.decode(path, { onInfo: (found) => (info = found) });
    for await (const block of blocks) expect(block.length).toBeGreaterThan(0);
    return info!;
  }

  test.each([
    ["wav", 22_050, 22_050],
    ["mp3", 22_050, 22_050],
    ["flac", 22_050, 22_050],
    // Opus does not know 22.05 kHz, and its decoders always give 48.
    ["opus", 24_000, 48_000],
  ] as const)("Piper's 22.05 kHz go into %s", async (format, told, found) => {
    const wav = await speak("Hello world.", PIPER.name);
    const seconds = (wav.bytes.length - 44) / 2 / 22_050;
    const { bytes, prepared } = await speak("Hello world.", PIPER.name, format);
    expect(prepared.sampleRate).toBe(told);
    const info = await decode(bytes);
    expect(info.sample_rate_hz).toBe(found);
    expect(Math.abs(info.duration_s - seconds)).toBeLessThan(format === "mp3" ? 0.15 : 0.002);
  });

  test("Piper's 22.05 kHz become pcm's 24", async () => {
    const wav = await speak("Hello world.", PIPER.name);
    const { bytes, prepared } = await speak("Hello world.", PIPER.name, "pcm");
    expect(prepared.sampleRate).toBe(24_000);
    const expected = ((wav.bytes.length - 44) / 2 / 22_050) * 24_000;
    expect(Math.abs(bytes.length / 2 - expected)).toBeLessThan(100);
  });

  test("sentences come one by one, and equal the whole", async () => {
    const { chunks } = await speak("One apple. Two pears! Three?", "af_heart");
    expect(chunks.length).toBe(4);
    const alone = await Promise.all(
      ["one apple.", "two pears!", "three?"].map((text) =>
        voices.find("af_heart").speak({ text, voice: "af_heart", speed: 1 }),
      ),
    );
    expect(chunks.slice(1).map(({ length }) => length / 2)).toEqual(
      alone.map(({ length }) => length),
    );
  });

  test.each([
    ["empty", "", "text_empty"],
    ["of control characters", "\u0000\u0007\u001b\u200b", "text_empty"],
    ["in an unknown script", "Привет, мир", "text_language_unsupported"],
    ["in Deseret", "\u{10414}\u{10429}", "text_language_unsupported"],
  ])("a text that is %s is refused before the model is asked", (_, input, code) => {
    const order = { input, voice: "af_heart", format: "wav", speed: 1 } as const;
    expect(() => synthesizer.prepare(order)).toThrow(expect.objectContaining({ code }));
  });

  test("a text as long as may be, without a mark and full of control characters, is spoken", async () => {
    const input = "hello\u0000 world ".repeat(500).slice(0, MAX_SPEECH_CHARACTERS);
    const { bytes } = await speak(input, "af_heart");
    const one = (await speak("hello world", "af_heart")).bytes.length;
    expect(bytes.length).toBeGreaterThan(200 * one);
  });
});

import { createReadStream } from "node:fs";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { describe, expect, test } from "vitest";
import { findPocketsphinx } from "../../regions/speech/transcription/pocketsphinx/find-pocketsphinx.ts";
import { SpeechFormat } from "../../shared/contracts/speech.ts";
import { planet } from "./planet-under-test.ts";

/** OpenAI's own client, told nothing but where we are. */
const openai = new OpenAI({
  baseURL: `${planet.edge}/v1`,
  apiKey: planet.keys.demo,
  maxRetries: 0,
});
/** The planet's workers look where this process does. */
const canListen = !("status" in findPocketsphinx({ searchPath: process.env["PATH"] ?? "" }));
const recording = () =>
  createReadStream(
    join(import.meta.dirname, "../fixtures/egemaps/prompt-followme_no-recording.wav"),
  );
const asked = { model: "whisper-1", language: "en" } as const;

describe("OpenAI's client gets a transcript", () => {
  test("as json, text, subtitles, and with the times of words and segments", async () => {
    const { transcriptions } = openai.audio;
    if (!canListen) {
      const answer = transcriptions.create({ ...asked, file: recording() });
      await expect(answer).rejects.toMatchObject({ status: 501, code: "not_available" });
      return;
    }
    const { text } = await transcriptions.create({ ...asked, file: recording() });
    expect(text).toMatch(/incoming call/);
    const plain = await transcriptions.create({
      ...asked,
      file: recording(),
      response_format: "text",
    });
    expect(plain.trim()).toBe(text);
    const srt = await transcriptions.create({
      ...asked,
      file: recording(),
      response_format: "srt",
    });
    expect(srt).toMatch(/^1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n/);
    const vtt = await transcriptions.create({
      ...asked,
      file: recording(),
      response_format: "vtt",
    });
    expect(vtt).toMatch(/^WEBVTT\n\n00:00:0\d\.\d{3} --> /);
    const verbose = await transcriptions.create({
      ...asked,
      file: recording(),
      response_format: "verbose_json",
      timestamp_granularities: ["word", "segment"],
    });
    expect(verbose).toMatchObject({ text, language: "english" });
    expect(verbose.words!.map(({ word }) => word)).toContain("call");
    expect(verbose.segments!.map((segment) => segment.text.trim()).join(" ")).toBe(text);
    expect(verbose.segments!.at(-1)!.end).toBeLessThanOrEqual(Number(verbose.duration));
  });

  test("as a stream of events, the same text", async () => {
    if (!canListen) {
      const answer = openai.audio.transcriptions.create({
        ...asked,
        file: recording(),
        stream: true,
      });
      await expect(answer).rejects.toMatchObject({ status: 501, code: "not_available" });
      return;
    }
    const { text } = await openai.audio.transcriptions.create({ ...asked, file: recording() });
    const stream = await openai.audio.transcriptions.create({
      ...asked,
      file: recording(),
      stream: true,
    });
    let heard = "";
    let whole: string | undefined;
    for await (const event of stream) {
      if (event.type === "transcript.text.delta") heard += event.delta;
      if (event.type === "transcript.text.done") whole = event.text;
    }
    expect([heard, whole]).toEqual([text, text]);
  });
});

test.each(SpeechFormat.options)(
  "OpenAI's client gets speech as %s, piece by piece",
  async (format) => {
    const answer = await openai.audio.speech.create({
      model: "gpt-4o-mini-tts",
      voice: "alloy",
      input: "One sentence. And another one, which comes after it.",
      response_format: format,
    });
    expect(answer.headers.get("content-type")).toMatch(/^audio\//);
    let bytes = 0;
    for await (const chunk of answer.body!) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(3_000);
  },
);

test("OpenAI's client lists the models, and gets one by its id", async () => {
  const { data } = await openai.models.list();
  const flite = data.find(({ id }) => id === "flite")!;
  expect(new Date(flite.created * 1000).getUTCFullYear()).toBe(2024);
  expect(await openai.models.retrieve("flite")).toEqual(flite);
  const none = openai.models.retrieve("gpt-9");
  await expect(none).rejects.toMatchObject({ status: 404, code: "model_not_found" });
});

test("OpenAI's client understands our refusals", async () => {
  const file = await toFile(Buffer.from("this is no audio at all"), "voice.wav");
  const noAudio = openai.audio.transcriptions.create({ ...asked, file });
  await expect(noAudio).rejects.toMatchObject({ status: 415, code: "audio_unsupported" });
  const stranger = new OpenAI({ baseURL: `${planet.edge}/v1`, apiKey: "sk-wrong", maxRetries: 0 });
  const speech = stranger.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Hello." });
  await expect(speech).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
});

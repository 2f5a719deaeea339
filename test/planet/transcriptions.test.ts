import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { VerboseTranscription } from "../../shared/contracts/transcription.ts";
import { findPocketsphinx } from "../../regions/speech/transcription/pocketsphinx/find-pocketsphinx.ts";
import { fixture, planet } from "./planet-under-test.ts";

/** The planet's workers look where this process does. */
const engine = findPocketsphinx({ searchPath: process.env["PATH"] ?? "" });
const prompt = () =>
  readFile(join(import.meta.dirname, "../fixtures/egemaps/prompt-followme_no-recording.wav"));

async function transcribe(bytes: Buffer, fields: Record<string, string>): Promise<Response> {
  const form = new FormData();
  form.append("file", new File([new Uint8Array(bytes)], "voice.wav"));
  form.append("model", "whisper-1");
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return fetch(`${planet.edge}/v1/audio/transcriptions`, {
    method: "POST",
    headers: { authorization: `Bearer ${planet.keys.demo}` },
    body: form,
  });
}

test("a form as OpenAI's clients send it comes back as text with times, or as the reason why not", async () => {
  const answer = await transcribe(await prompt(), {
    response_format: "verbose_json",
    "timestamp_granularities[]": "word",
  });
  if ("status" in engine) {
    expect(answer.status).toBe(501);
    expect(await answer.json()).toMatchObject({
      code: "not_available",
      error: { message: expect.stringContaining(engine.install!) },
    });
    return;
  }
  expect(answer.status).toBe(200);
  const heard = VerboseTranscription.parse(await answer.json());
  expect(heard.text).toMatch(/incoming call/);
  expect(heard).toMatchObject({ language: "english", quality: "fallback" });
  const call = heard.words!.find(({ word }) => word === "call")!;
  expect(call.start).toBeGreaterThan(0.8);
  expect(call.end).toBeLessThanOrEqual(heard.duration);
  expect(answer.headers.get("x-antiphon-engine")).toMatch(/^pocketsphinx-en-us /);
});

test("silence has no text, and what is no audio is refused as such", async () => {
  const silence = await transcribe(await fixture("silence.wav"), {});
  if ("status" in engine) expect(silence.status).toBe(501);
  else expect(await silence.json()).toEqual({ text: "" });
  const text = await transcribe(await fixture("not-audio.wav"), { response_format: "srt" });
  expect(text.status).toBe(415);
  expect(await text.json()).toMatchObject({ code: "audio_unsupported" });
});

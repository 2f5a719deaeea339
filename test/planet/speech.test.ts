import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { AudioInfo } from "../../regions/speech/decode/audio-info.ts";
import { createDecoder } from "../../regions/speech/decode/decoder.ts";
import { regions } from "../../shared/contracts/regions.ts";
import { SpeechFormat } from "../../shared/contracts/speech.ts";
import { clientOf, eventually, planet } from "./planet-under-test.ts";

const folder = await mkdtemp(join(tmpdir(), "antiphon-planet-speech-"));
const decoder = createDecoder();
afterAll(async () => {
  await decoder.close();
  await rm(folder, { recursive: true });
});

const TEXT = "Dr. Smith paid $5.20 on 2024-05-01. It was not much! Was it?";

async function infoOf(path: string): Promise<AudioInfo> {
  let info: AudioInfo | undefined;
  for await (const _ of decoder.decode(path, { onInfo: (found) => (info = found) }));
  return info!;
}

/** What a client that knows only OpenAI's API sends. */
const askAsOpenAi = (body: object, init: RequestInit = {}) =>
  fetch(`${planet.edge}/v1/audio/speech`, {
    method: "POST",
    headers: { authorization: `Bearer ${planet.keys.demo}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "gpt-4o-mini-tts", voice: "alloy", ...body }),
    ...init,
  });

async function cli(...args: string[]) {
  const child = spawn(process.execPath, ["scripts/cli/main.ts", ...args], {
    env: { ...process.env, ANTIPHON_URL: planet.edge, ANTIPHON_API_KEY: planet.keys.demo },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await exit, stdout, stderr };
}

describe.each(regions.map(({ id }) => id))("speech in %s", (region) => {
  test("is made there once, and then found again byte for byte", async () => {
    const client = clientOf({ region });
    const request = { input: `${TEXT} In ${region}.`, response_format: "opus" as const };
    const first = await client.createSpeech(request);
    expect(first.headers.get("x-antiphon-region")).toBe(region);
    expect(first.headers.get("x-antiphon-cache")).toBe("miss");
    const bytes = Buffer.from(await first.arrayBuffer());
    // It is kept once it is whole, which is a moment after its last byte.
    const again = await eventually(async () => {
      const answer = await client.createSpeech(request);
      const found = Buffer.from(await answer.arrayBuffer());
      return answer.headers.get("x-antiphon-cache") === "hit" ? { answer, found } : undefined;
    });
    expect(again.found.equals(bytes)).toBe(true);
    expect(again.answer.headers.get("content-type")).toBe("audio/ogg");
    const path = join(folder, `${region}.opus`);
    await writeFile(path, bytes);
    const info = await infoOf(path);
    expect(info.duration_s).toBeGreaterThan(5);
    expect(info.duration_s).toBeLessThan(15);
    expect(info.level.silent).toBe(false);
  });
});

test.each(SpeechFormat.options)("OpenAI's request for %s is answered with it", async (format) => {
  const answer = await askAsOpenAi({ input: TEXT, response_format: format });
  expect(answer.status).toBe(200);
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (format === "pcm") {
    expect(bytes.length / 48_000).toBeGreaterThan(4);
    return;
  }
  const path = join(folder, `openai.${format}`);
  await writeFile(path, bytes);
  expect((await infoOf(path)).duration_s).toBeGreaterThan(4);
});

/** Texts that a region is speaking, by its own count. */
async function speakingIn(region: string): Promise<number> {
  const metrics = await (await fetch(`${planet.regions[region]!.api}/metrics`)).text();
  return Number(/^antiphon_speech_speaking (\d+)$/m.exec(metrics)![1]);
}

test("a listener that hangs up ends the work in the region", async () => {
  const leave = new AbortController();
  // Hours of speech: it neither ends by itself nor fits between the region and who listens.
  const input = "9876543210 ".repeat(370);
  const answer = await askAsOpenAi({ input, speed: 0.25 }, { signal: leave.signal });
  const region = answer.headers.get("x-antiphon-region")!;
  const reader = answer.body!.getReader();
  expect((await reader.read()).value!.length).toBeGreaterThan(0);
  // Texts of tests before may still be on their way into the region's cache.
  await eventually(async () => ((await speakingIn(region)) === 1 ? true : undefined));
  leave.abort();
  await eventually(async () => ((await speakingIn(region)) === 0 ? true : undefined));
});

test("what cannot be spoken is told as a problem, through the edge", async () => {
  const answer = await askAsOpenAi({ input: "Привет, мир" });
  expect(answer.status).toBe(422);
  expect(await answer.json()).toMatchObject({
    code: "text_language_unsupported",
    errors: [{ path: "input" }],
  });
});

test("the command line writes a file, and says how long it is and where it came from", async () => {
  const out = join(folder, "said.wav");
  const spoken = await cli("speak", TEXT, "--voice", "rms", "--out", out);
  expect(spoken, spoken.stderr).toMatchObject({ code: 0 });
  expect(spoken.stdout).toMatch(/said\.wav: \d+\.\d\d s of speech/);
  expect(spoken.stdout).toMatch(/voice rms \(flite\/.*cache (hit|miss)/);
  expect(spoken.stdout).toMatch(/first audio after \d+ ms/);
  const info = await infoOf(out);
  expect(info.duration_s).toBeCloseTo(Number(/(\d+\.\d+) s of/.exec(spoken.stdout)![1]), 1);
  // The file knows its length, although the stream did not.
  expect(info.expected_duration_s).toBeCloseTo(info.duration_s, 2);

  const refused = await cli("speak", "Привет", "--out", join(folder, "none.wav"));
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("text_language_unsupported");
  await expect(stat(join(folder, "none.wav"))).rejects.toThrow();
});

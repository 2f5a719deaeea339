import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createTranscriber } from "../../../regions/speech/transcription/create-transcriber.ts";
import { planUtterances } from "../../../regions/speech/transcription/plan-utterances.ts";
import { createMoonshine } from "../../../regions/speech/transcription/moonshine/create-moonshine.ts";
import { createPocketsphinx } from "../../../regions/speech/transcription/pocketsphinx/create-pocketsphinx.ts";
import { findPocketsphinx } from "../../../regions/speech/transcription/pocketsphinx/find-pocketsphinx.ts";
import type { Pocketsphinx } from "../../../regions/speech/transcription/pocketsphinx/find-pocketsphinx.ts";
import { createWhisper } from "../../../regions/speech/transcription/whisper/create-whisper.ts";
import { tinyMoonshineFolder } from "./moonshine-fixture.ts";
import { blocksOf, decodeAll, promptPath } from "./fixtures.ts";
import { holdTheClock } from "./hold-the-clock.ts";
import { only, openRecording } from "./transcribers.ts";
import { transcriptionConformance } from "./transcription-conformance.ts";
import type { SpokenRecording } from "./transcription-conformance.ts";
import { filesOf, tinyWhisperFolder } from "./whisper-fixture.ts";

const scratch = await mkdtemp(join(tmpdir(), "antiphon-test-"));
const decoder = createDecoder();
afterAll(async () => {
  await decoder.close();
  await rm(scratch, { recursive: true });
});

/** "You have an incoming call", three seconds of nothing, "Press nine for more entries". */
async function twoPrompts(): Promise<SpokenRecording> {
  const first = (await decodeAll(decoder, promptPath("prompt-followme_no-recording"))).samples;
  const second = (await decodeAll(decoder, promptPath("prompt-dir-multi9"))).samples;
  const gap = 48_000;
  const samples = new Float32Array(first.length + gap + second.length);
  samples.set(first);
  samples.set(second, first.length + gap);
  const at = (first.length + gap) / 16_000;
  return {
    samples,
    speech: [
      { start_s: 0, end_s: first.length / 16_000 },
      { start_s: at, end_s: samples.length / 16_000 },
    ],
  };
}

/**
 * A program that keeps PocketSphinx's protocol and runs `body` for each line `file first last id` of its list: for the ways
 * of failing that the real one has too, but seldom. `$0.runs` counts its starts.
 */
async function standIn(name: string, body: string): Promise<Pocketsphinx> {
  const folder = join(scratch, name);
  const program = join(folder, "pocketsphinx_batch");
  await mkdir(join(folder, "en-us"), { recursive: true });
  for (const file of ["en-us/mdef", "en-us.lm.bin", "cmudict-en-us.dict"]) {
    await writeFile(join(folder, file), file);
  }
  await writeFile(
    program,
    `#!/bin/sh
echo run >> "$0.runs"
echo "a secret of the process" >&2
while read -r file first last id; do
${body}
done
`,
  );
  await chmod(program, 0o755);
  const found = findPocketsphinx({ searchPath: folder, modelFolders: [folder] });
  if ("status" in found) throw new Error(found.reason);
  return found;
}

const runsOf = async ({ program }: Pocketsphinx) =>
  (await readFile(`${program}.runs`, "utf8")).split("\n").length - 1;

const answer =
  'echo "hello you ($id -9)"; echo "$id 1 0.10 0.20 hello 0.900"; echo "$id 1 0.40 0.30 you 1.002"';

async function transcribeWith(found: Pocketsphinx, options: { stallMs?: number } = {}) {
  const transcriber = createTranscriber({
    engines: only(createPocketsphinx(found, options)),
    folder: scratch,
  });
  const recording = await openRecording(transcriber, { signal: new AbortController().signal });
  try {
    for (const block of blocksOf(new Float32Array(160_000))) await recording.push(block);
    const speech = [
      { start_s: 1, end_s: 3 },
      { start_s: 6, end_s: 8 },
    ];
    return (await recording.finish(speech)).transcript;
  } finally {
    await recording.drop();
    await transcriber.close();
  }
}

transcriptionConformance(
  "that stands in for PocketSphinx",
  createPocketsphinx(await standIn("good", answer)),
  twoPrompts,
);

const tinyWhisper = createWhisper(
  {
    entry: { name: "whisper-tiny-random", version: "1" },
    files: new Map((await filesOf(tinyWhisperFolder)).map((file) => [file.path, file])),
  },
  { temperatures: [0], maxTokens: 12 },
);
afterAll(() => tinyWhisper.close());
transcriptionConformance("Whisper", tinyWhisper, twoPrompts);

const tinyMoonshine = createMoonshine({
  entry: { name: "moonshine-tiny-random", version: "1" },
  files: new Map((await filesOf(tinyMoonshineFolder)).map((file) => [file.path, file])),
});
afterAll(() => tinyMoonshine.close());
transcriptionConformance("Moonshine", tinyMoonshine, twoPrompts);

const installed = findPocketsphinx({ searchPath: process.env["PATH"] ?? "" });
if ("status" in installed) {
  test("PocketSphinx is not installed here, and the product says how it would be", () => {
    expect(installed.install).toBe("apt-get install pocketsphinx pocketsphinx-en-us");
  });
} else {
  transcriptionConformance("PocketSphinx", createPocketsphinx(installed), twoPrompts);

  test("PocketSphinx understands a clear sentence and knows when its words were said", async () => {
    const transcriber = createTranscriber({
      engines: only(createPocketsphinx(installed)),
      folder: scratch,
    });
    const { samples, speech } = await twoPrompts();
    const recording = await openRecording(transcriber, { signal: new AbortController().signal });
    for (const block of blocksOf(samples)) await recording.push(block);
    const { transcript, engine } = await recording.finish(speech);
    await transcriber.close();
    expect(transcript.segments[0]?.text).toMatch(/^you have .*incoming call$/);
    const press = transcript.words?.find(({ word }) => word === "press");
    expect(press!.start_s - speech[1].start_s).toBeGreaterThan(0);
    expect(press!.start_s - speech[1].start_s).toBeLessThan(0.3);
    expect(press!.confidence).toBeGreaterThan(0);
    expect(engine).toMatchObject({ name: "pocketsphinx-en-us" });
    expect(recording.computeMs()).toBeGreaterThan(0);
  });
}

describe("without PocketSphinx", () => {
  test("the part says why there is no text, and what would bring it", () => {
    const missing = findPocketsphinx({ searchPath: "" });
    expect(missing).toEqual({
      status: "unavailable",
      reason: "No engine for transcripts is installed.",
      install: "apt-get install pocketsphinx pocketsphinx-en-us",
    });
  });

  test("a program without its model does not count", async () => {
    const { program } = await standIn("no-model", answer);
    const searchPath = join(program, "..");
    const found = findPocketsphinx({ searchPath, modelFolders: [join(scratch, "nowhere")] });
    expect(found).toMatchObject({ status: "unavailable", reason: expect.stringMatching("model") });
  });
});

describe("a PocketSphinx process", () => {
  test("has its words put into the recording's time, its confidence into [0, 1]", async () => {
    const { text, words, segments } = await transcribeWith(await standIn("timed", answer));
    expect(text).toBe("hello you hello you");
    // Utterances begin a quarter of a second before the speech.
    expect(words).toEqual([
      { word: "hello", start_s: 0.85, end_s: 1.05, confidence: 0.9 },
      { word: "you", start_s: 1.15, end_s: 1.45, confidence: 1 },
      { word: "hello", start_s: 5.85, end_s: 6.05, confidence: 0.9 },
      { word: "you", start_s: 6.15, end_s: 6.45, confidence: 1 },
    ]);
    expect(segments[1]).toEqual({ start_s: 5.85, end_s: 6.45, text: "hello you" });
  });

  test("that dies is replaced, and what it had answered is not asked again", async () => {
    const found = await standIn(
      "dies",
      `if [ "$first" = 575 ] && [ ! -e "$0.died" ]; then touch "$0.died"; kill -SEGV $$; fi; ${answer}`,
    );
    expect((await transcribeWith(found)).text).toBe("hello you hello you");
    expect(await runsOf(found)).toBe(2);
  });

  test("that dies of an utterance twice is an error worth a retry, with nothing of its stderr", async () => {
    const found = await standIn("keeps-dying", "kill -SEGV $$");
    const error: unknown = await transcribeWith(found).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "transcriber_crashed", retryable: true });
    expect((error as Error).message).not.toContain("secret");
    expect(await runsOf(found)).toBe(2);
  });

  test("that hangs is killed", async () => {
    const pass = holdTheClock();
    const found = await standIn("hangs", 'echo $$ > "$0.pid"; sleep 1000');
    let isOver = false;
    const failed = transcribeWith(found, { stallMs: 300 })
      .catch((error: unknown) => error)
      .finally(() => (isOver = true));
    const said = () => readFile(`${found.program}.pid`, "utf8").catch(() => "");
    await expect.poll(said).toMatch(/^\d+\n$/);
    const pid = Number(await said());
    // Another has its time too.
    await expect.poll(() => pass(300).then(() => isOver)).toBe(true);
    expect(await failed).toMatchObject({ code: "transcriber_stalled" });
    await expect.poll(() => existsSync(`/proc/${pid}/exe`)).toBe(false);
  });

  test.each([
    ["nonsense", 'echo "no line of its format"'],
    ["times that are none", 'echo "hello ($id -9)"; echo "$id 1 x 0.20 hello 0.900"'],
    ["another utterance", 'echo "hello (other -9)"'],
  ])("that writes %s is an error, not a transcript", async (what, body) => {
    const found = await standIn(what.replaceAll(" ", "-"), body);
    await expect(transcribeWith(found)).rejects.toMatchObject({ code: "transcriber_crashed" });
  });

  test("ends with its transcriber", async () => {
    const found = await standIn("closed", 'touch "$0.runs-now"; sleep 1000');
    const transcriber = createTranscriber({
      engines: only(createPocketsphinx(found)),
      folder: scratch,
    });
    const recording = await openRecording(transcriber, { signal: new AbortController().signal });
    await recording.push(blocksOf(new Float32Array(16_000))[0]!);
    const ended = recording.finish([{ start_s: 0, end_s: 1 }]).catch((error: unknown) => error);
    await expect.poll(() => existsSync(`${found.program}.runs-now`)).toBe(true);
    await transcriber.close();
    expect(await ended).toMatchObject({ code: "transcriber_closed" });
    const late = transcriber.open({ signal: new AbortController().signal });
    await expect(late).rejects.toMatchObject({ code: "transcriber_closed" });
  });
});

describe("utterances", () => {
  const quietest = (fromS: number, toS: number) => (fromS + toS) / 2;
  const options = { maxS: 10, joinS: 0.5, padS: 0.25 };
  const plan = (segments: [number, number][], durationS: number) =>
    planUtterances(
      segments.map(([start_s, end_s]) => ({ start_s, end_s })),
      durationS,
      quietest,
      options,
    ).map(({ start_s, end_s }) => [start_s, end_s]);

  test("join speech that is close, and keep apart what is not", () => {
    expect(
      plan(
        [
          [1, 2],
          [2.4, 3],
          [5, 6],
        ],
        10,
      ),
    ).toEqual([
      [0.75, 3.25],
      [4.75, 6.25],
    ]);
  });

  test("share a gap that has no room for both, and stay within the recording", () => {
    expect(
      plan(
        [
          [0.1, 5],
          [5.4, 10],
          [10.2, 14.999],
        ],
        15.004,
      ),
    ).toEqual([
      [0, 10.1],
      [10.1, 15],
    ]);
  });

  test("are never longer than they may be, however long somebody speaks", () => {
    const long = plan([[0, 100]], 100);
    expect(long[0]![0]).toBe(0);
    expect(long.at(-1)![1]).toBe(100);
    for (const [i, [start, end]] of long.entries()) {
      expect(end! - start!).toBeLessThanOrEqual(10);
      expect(end! - start!).toBeGreaterThan(1);
      if (i > 0) expect(start).toBe(long[i - 1]![1]);
    }
  });

  test("of no speech are none", () => {
    expect(plan([], 10)).toEqual([]);
    expect(plan([], 0)).toEqual([]);
  });
});

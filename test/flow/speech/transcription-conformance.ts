import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { Engine, Transcript } from "../../../shared/contracts/analysis-result.ts";
import { createTranscriber } from "../../../regions/speech/transcription/create-transcriber.ts";
import type { TranscriptionEngine } from "../../../regions/speech/transcription/transcription-engine.ts";
import { blocksOf } from "./fixtures.ts";
import { only, openRecording } from "./transcribers.ts";

/** Samples and where somebody speaks in them; the first utterance stands apart from the second. */
export interface SpokenRecording {
  samples: Float32Array;
  speech: [SpeechSegment, SpeechSegment];
}

/** Segments that lie where somebody speaks, give or take half a second. */
function within({ segments }: Transcript, speech: SpeechSegment) {
  return segments.filter(
    ({ start_s, end_s }) => start_s > speech.start_s - 0.5 && end_s < speech.end_s + 0.5,
  );
}

/** What every engine must do, through the transcriber that uses it. */
export function transcriptionConformance(
  name: string,
  engine: TranscriptionEngine,
  recording: () => Promise<SpokenRecording>,
): void {
  describe(`the engine ${name}`, () => {
    let folder: string;
    let spoken: SpokenRecording;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "antiphon-test-"));
      spoken = await recording();
    });
    afterAll(() => rm(folder, { recursive: true }));

    async function transcribe(
      samples: Float32Array,
      speech: readonly SpeechSegment[],
      more: { onProgress?: (fraction: number) => void; signal?: AbortSignal } = {},
    ) {
      const transcriber = createTranscriber({ engines: only(engine), folder });
      const { signal = new AbortController().signal, onProgress } = more;
      const open = await openRecording(transcriber, { signal, language: "en" });
      try {
        for (const block of blocksOf(samples)) await open.push(block);
        return await open.finish(speech, onProgress);
      } finally {
        await open.drop();
        for (const home of await readdir(folder))
          expect(await readdir(join(folder, home))).toEqual([]);
        await transcriber.close();
        expect(await readdir(folder)).toEqual([]);
      }
    }

    test("says what it is", async () => {
      const { engine: about, transcript } = await transcribe(spoken.samples, spoken.speech);
      expect(Engine.parse(about)).toEqual(about);
      expect(Transcript.parse(transcript)).toEqual(transcript);
      expect(transcript).toMatchObject({ language: "en", quality: engine.quality });
      expect(await engine.languages()).toContain("en");
      expect(JSON.parse(JSON.stringify(transcript))).toEqual(transcript);
    });

    test("gives words in order, each within the speech that holds it", async () => {
      const { transcript } = await transcribe(spoken.samples, spoken.speech);
      const words = transcript.words ?? [];
      expect(words.map(({ word }) => word).join(" ")).toBe(transcript.text);
      let last = 0;
      for (const { start_s, end_s } of words) {
        expect(start_s).toBeGreaterThanOrEqual(last);
        expect(end_s).toBeGreaterThanOrEqual(start_s);
        last = end_s;
      }
      const heard = spoken.speech.map((own) => within(transcript, own));
      expect(heard.every((segments) => segments.length > 0)).toBe(true);
      expect(heard.flat()).toEqual(transcript.segments);
    });

    test("gives an utterance the same words alone as after another", async () => {
      const [, second] = spoken.speech;
      const both = await transcribe(spoken.samples, spoken.speech);
      const alone = await transcribe(spoken.samples, [second]);
      const said = (transcript: Transcript) =>
        within(transcript, second).map(({ start_s, end_s, text }) => [start_s, end_s, text]);
      expect(said(alone.transcript)).toEqual(said(both.transcript));
      expect(said(alone.transcript)).toHaveLength(alone.transcript.segments.length);
    });

    test("gives no text where nobody speaks", async () => {
      const { transcript } = await transcribe(new Float32Array(32_000), []);
      expect(transcript).toMatchObject({ text: "", words: [], segments: [] });
    });

    test("tells how far it is, up to the end", async () => {
      const progress: number[] = [];
      await transcribe(spoken.samples, spoken.speech, { onProgress: (at) => progress.push(at) });
      expect(progress).toEqual(progress.toSorted((a, b) => a - b));
      expect(progress).toHaveLength(2);
      expect(progress.at(-1)).toBeCloseTo(1);
    });

    test("stops with the signal's reason, and leaves nothing behind", async () => {
      const stop = new AbortController();
      const reason = new Error("enough");
      const stopped = transcribe(spoken.samples, spoken.speech, {
        signal: stop.signal,
        onProgress: () => stop.abort(reason),
      });
      await expect(stopped).rejects.toBe(reason);
    });
  });
}

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { Engine, Transcript } from "../../../shared/contracts/analysis-result.ts";
import { createTranscriber } from "../../../regions/speech/transcription/create-transcriber.ts";
import type { TranscriptionEngine } from "../../../regions/speech/transcription/transcription-engine.ts";
import { blocksOf } from "./fixtures.ts";

/** Samples and where somebody speaks in them; the first utterance stands apart from the second. */
export interface SpokenRecording {
  samples: Float32Array;
  speech: [SpeechSegment, SpeechSegment];
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
      const transcriber = createTranscriber({ engine, folder });
      const { signal = new AbortController().signal, onProgress } = more;
      const open = transcriber.open({ signal });
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
      expect(transcript).toMatchObject({ language: engine.language, quality: engine.quality });
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
      expect(transcript.segments).toHaveLength(2);
      for (const [i, { start_s, end_s }] of transcript.segments.entries()) {
        expect(start_s).toBeGreaterThan(spoken.speech[i]!.start_s - 0.5);
        expect(end_s).toBeLessThan(spoken.speech[i]!.end_s + 0.5);
      }
    });

    test("gives an utterance the same words alone as after another", async () => {
      const [, second] = spoken.speech;
      const both = await transcribe(spoken.samples, spoken.speech);
      const alone = await transcribe(spoken.samples, [second]);
      expect(alone.transcript.segments).toEqual(both.transcript.segments.slice(1));
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

import { afterAll, describe, expect, test } from "vitest";
import type { SpeechEngine } from "../../../regions/speech/synthesis/speech-engine.ts";

export interface SpeechEngineUnderTest {
  engine: SpeechEngine;
  close(): Promise<void>;
}

const FOX = "the quick brown fox jumps over the lazy dog.";

const loudness = (samples: Int16Array) =>
  Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);

/** What every engine must do, whatever its voices sound like. `start` makes one of its own for those that are closed. */
export function speechEngineConformance(name: string, start: () => SpeechEngineUnderTest): void {
  describe(`the engine ${name}`, () => {
    const { engine, close } = start();
    afterAll(close);
    const voice = engine.voices.at(-1)!;
    const say = (text: string, more: { voice?: string; speed?: number } = {}) =>
      engine.speak({ text, voice, speed: 1, ...more });

    test("says what it is, so that what it said can be kept by content", () => {
      expect(engine.name).toMatch(/^[\w.-]+$/);
      expect(engine.version).not.toBe("");
      expect(engine.modelSha256).toMatch(/^[0-9a-f]{64}$/);
      expect(new Set(engine.voices).size).toBe(engine.voices.length);
      expect(engine.sampleRate).toBeGreaterThanOrEqual(16_000);
    });

    test("speaks in every voice, audibly, each in its own way", async () => {
      const all = await Promise.all(engine.voices.map((own) => say(FOX, { voice: own })));
      for (const samples of all) {
        const seconds = samples.length / engine.sampleRate;
        expect(seconds).toBeGreaterThan(1);
        expect(seconds).toBeLessThan(10);
        expect(loudness(samples)).toBeGreaterThan(500);
      }
      expect(new Set(all.map((samples) => samples.join())).size).toBe(all.length);
    });

    test("says a piece as it would alone, whatever is said before it or beside it", async () => {
      const alone = await say(FOX);
      const others = ["something else.", "and more of it!", "is it not?"];
      const [fox, ...rest] = await Promise.all([say(FOX), ...others.map((text) => say(text))]);
      expect(fox).toEqual(alone);
      expect(rest[1]).toEqual(await say(others[1]!));
    });

    test.each([0.5, 2])("takes 1/%s of the time at that speed", async (speed) => {
      const [whole, paced] = await Promise.all([say(FOX), say(FOX, { speed })]);
      const ratio = (paced.length * speed) / whole.length;
      expect(ratio).toBeGreaterThan(0.8);
      expect(ratio).toBeLessThan(1.25);
    });

    test("speaks the longest pieces there are: letter by letter, and a word without end", async () => {
      const letters = "w ".repeat(100).trim();
      const short = await say("w w w w w.");
      expect((await say(letters)).length).toBeGreaterThan(10 * short.length);
      expect((await say("a".repeat(200))).length).toBeGreaterThan(engine.sampleRate / 2);
    });

    test("has nothing to say where there is no word", async () => {
      for (const text of ["", " ", "?!"]) {
        const said = await Promise.all(engine.voices.map((own) => say(text, { voice: own })));
        expect(said.map(({ length }) => length)).toEqual(engine.voices.map(() => 0));
      }
    });

    test("leaves a piece whose caller left, before it or in the midst of it, and says the next", async () => {
      const alone = await say(FOX);
      await expect(
        engine.speak({ text: FOX, voice, speed: 1 }, AbortSignal.abort(new Error("left before"))),
      ).rejects.toThrow("left before");
      const leave = new AbortController();
      const left = engine.speak({ text: FOX, voice, speed: 1 }, leave.signal);
      const next = say(FOX);
      leave.abort(new Error("left midway"));
      await expect(left).rejects.toThrow("left midway");
      expect(await next).toEqual(alone);
    });

    test("that was closed speaks no more, nor what it was at", async () => {
      const own = start();
      const piece = { text: FOX, voice, speed: 1 };
      const begun = own.engine.speak(piece);
      const ended = expect(begun).rejects.toMatchObject({ code: "synthesis_closed" });
      await own.engine.close();
      await ended;
      await expect(own.engine.speak(piece)).rejects.toMatchObject({ code: "synthesis_closed" });
      await own.close();
    });
  });
}

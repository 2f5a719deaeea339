import { describe, expect, test } from "vitest";
import type { VoiceClassifier } from "../../../regions/speech/classifiers/create-classifier.ts";
import type { HeardVoice } from "../../../regions/speech/classifiers/heard-voice.ts";
import { spooled, twoSines } from "./tiny-classifiers.ts";

/** What every engine that says what kind of voice it hears has to keep. */
export function describeClassifier(
  name: string,
  start: () => { classifier: VoiceClassifier; folder: string },
): void {
  const signal = () => AbortSignal.timeout(20_000);
  const all = (seconds: number) => [{ start_s: 0, end_s: seconds }];

  describe(`${name} keeps what classifiers have in common:`, () => {
    test("it is named, with version and hash", () => {
      expect(start().classifier.engine).toEqual({
        name: expect.stringMatching(/./) as string,
        version: expect.stringMatching(/./) as string,
        model_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      });
    });

    test("the same recording gives the same, also among others", async () => {
      const { classifier, folder } = start();
      const audio = await spooled(twoSines(5, 150), folder);
      const other = await spooled(twoSines(7, 330), folder);
      const alone = await classifier.hear(audio, all(5), { signal: signal() });
      const [again] = await Promise.all([
        classifier.hear(audio, all(5), { signal: signal() }),
        ...[1, 2, 3].map(() => classifier.hear(other, all(7), { signal: signal() })),
      ]);
      expectClose(again!, alone!);
    });

    test("nothing but speech is heard", async () => {
      const { classifier, folder } = start();
      const loud = twoSines(6, 150);
      const changed = loud.map((sample, i) => (i < 32_000 || i >= 80_000 ? -0.9 : sample));
      const speech = [{ start_s: 2, end_s: 5 }];
      const both = await Promise.all(
        [loud, changed].map(async (samples) =>
          classifier.hear(await spooled(samples, folder), speech, { signal: signal() }),
        ),
      );
      expectClose(both[1]!, both[0]!);
      expect(both[0]!.speech_s).toBeLessThanOrEqual(3);
    });

    test("too little speech, and none, is not judged", async () => {
      const { classifier, folder } = start();
      const audio = await spooled(twoSines(5, 150), folder);
      const least = classifier.minSpeechS;
      for (const speech of [[], [{ start_s: 1, end_s: 1 + least - 0.01 }]]) {
        expect(await classifier.hear(audio, speech, { signal: signal() })).toBeUndefined();
      }
      const enough = [{ start_s: 1, end_s: 1 + least }];
      expect(await classifier.hear(audio, enough, { signal: signal() })).toBeDefined();
    });

    test("whoever aborts is told so with the reason, and others go on", async () => {
      const { classifier, folder } = start();
      const audio = await spooled(twoSines(5, 150), folder);
      const stop = new AbortController();
      const reason = new Error("enough");
      const stopped = classifier.hear(audio, all(5), { signal: stop.signal });
      const other = classifier.hear(audio, all(5), { signal: signal() });
      stop.abort(reason);
      await expect(stopped).rejects.toBe(reason);
      expect(await other).toBeDefined();
    });
  });
}

/** To within what sums in another order may differ by. */
export function expectClose(found: HeardVoice, wanted: HeardVoice): void {
  const flat = (value: unknown, at = ""): [string, unknown][] =>
    typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, inner]) => flat(inner, `${at}.${key}`))
      : [[at, value]];
  const entries = flat(wanted);
  expect(flat(found).map(([key]) => key)).toEqual(entries.map(([key]) => key));
  for (const [i, [key, value]] of flat(found).entries()) {
    const other = entries[i]![1];
    if (typeof value === "number") expect(value, key).toBeCloseTo(other as number, 4);
    else expect(value, key).toBe(other);
  }
}

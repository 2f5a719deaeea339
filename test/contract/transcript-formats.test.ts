import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Transcript } from "../../shared/contracts/analysis-result.ts";
import {
  nameOfLanguage,
  readSpokenLanguage,
  spokenLanguages,
} from "../../shared/contracts/spoken-language.ts";
import { VerboseTranscription } from "../../shared/contracts/transcription.ts";
import { formatTranscript } from "../../shared/transcripts/format-transcript.ts";
import { toCues } from "../../shared/transcripts/to-cues.ts";

const options = { duration_s: 10, temperature: 0, granularities: ["segment"] as const };

function transcriptOf(words: [word: string, start: number, end: number][]): Transcript {
  const text = words.map(([word]) => word).join(" ");
  const segments =
    words.length === 0 ? [] : [{ start_s: words[0]![1], end_s: words.at(-1)![2], text }];
  return {
    text,
    language: "en",
    quality: "fallback",
    words: words.map(([word, start_s, end_s]) => ({ word, start_s, end_s, confidence: 0.5 })),
    segments,
  };
}

const body = (transcript: Transcript, format: Parameters<typeof formatTranscript>[1]) =>
  formatTranscript(transcript, format, options).body;

describe("subtitles", () => {
  test("of SubRip are numbered, and count hours", () => {
    const words: [string, number, number][] = [
      ["hello", 1.5, 2.004],
      ["again", 362_439.9996, 362_441],
    ];
    expect(body(transcriptOf(words), "srt")).toBe(
      "1\n00:00:01,500 --> 00:00:02,300\nhello\n\n2\n100:40:40,000 --> 100:40:41,000\nagain\n\n",
    );
  });

  test("of WebVTT escape what would be markup or an arrow", () => {
    const words: [string, number, number][] = [
      ["<b>R&D", 0, 1],
      ["-->", 1, 2],
    ];
    expect(body(transcriptOf(words), "vtt")).toBe(
      "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n&lt;b&gt;R&amp;D --&gt;\n\n",
    );
  });

  test("of no speech are empty files of their format", () => {
    const silence = transcriptOf([]);
    expect(body(silence, "srt")).toBe("");
    expect(body(silence, "vtt")).toBe("WEBVTT\n\n");
    expect(body(silence, "text")).toBe("\n");
    expect(body(silence, "json")).toBe('{"text":""}');
  });

  test("of an engine without words show its segments, line breaks or not", () => {
    const { words: _, ...transcript } = transcriptOf([["one\n\ntwo", 0, 3]]);
    expect(body(transcript, "srt")).toBe("1\n00:00:00,000 --> 00:00:03,000\none two\n\n");
  });

  test("begin anew after a pause", () => {
    const cues = toCues(
      transcriptOf([
        ["one", 0, 1],
        ["two", 1.2, 2],
        ["three", 3, 4],
      ]),
    );
    expect(cues.map(({ lines }) => lines)).toEqual([["one two"], ["three"]]);
  });

  test("shown longer than they were said make way for the next", () => {
    const cues = toCues(
      transcriptOf([
        ["a", 0, 0.1],
        ["b".repeat(90), 0.2, 1.2],
      ]),
    );
    expect(cues.map(({ start_s, end_s }) => [start_s, end_s])).toEqual([
      [0, 0.2],
      [0.2, 1.2],
    ]);
  });

  test("are short, in order, apart, and hold every word, whatever is said", () => {
    const gap = fc.integer({ min: 0, max: 3000 });
    const spoken = fc.array(fc.tuple(fc.stringMatching(/^[a-z]{1,20}$/), gap, gap));
    fc.assert(
      fc.property(spoken, (said) => {
        let now = 0;
        const words = said.map(([word, before, length]): [string, number, number] => {
          const start = now + before;
          now = start + length;
          return [word, start / 1000, now / 1000];
        });
        const cues = toCues(transcriptOf(words));
        expect(cues.flatMap(({ lines }) => lines).join(" ")).toBe(
          words.map(([word]) => word).join(" "),
        );
        let last = 0;
        for (const { start_s, end_s, lines } of cues) {
          expect(start_s).toBeGreaterThanOrEqual(last);
          expect(end_s).toBeGreaterThanOrEqual(start_s);
          expect(end_s - start_s).toBeLessThanOrEqual(6.001);
          expect(lines.length).toBeLessThanOrEqual(2);
          for (const line of lines) expect(line.length).toBeLessThanOrEqual(42);
          last = end_s;
        }
      }),
    );
  });
});

describe("verbose_json", () => {
  const transcript = transcriptOf([
    ["hello", 0, 1],
    ["you", 1, 2],
  ]);

  test("has OpenAI's fields, all of them numbers where its clients expect numbers", () => {
    const verbose = VerboseTranscription.parse(JSON.parse(body(transcript, "verbose_json")));
    expect(verbose).toMatchObject({ language: "english", duration: 10, text: "hello you" });
    expect(verbose.words).toBeUndefined();
    expect(verbose.segments).toHaveLength(1);
    expect(verbose.segments![0]).toMatchObject({ id: 0, start: 0, end: 2, tokens: [] });
    expect(verbose.segments![0]!.avg_logprob).toBeCloseTo(Math.log(0.5));
  });

  test("has what an engine thinks of its own segments, where it says so", () => {
    const segment = {
      ...transcript.segments[0]!,
      average_logprob: -0.25,
      no_speech_probability: 0.1,
    };
    const own: Transcript = { ...transcript, language: "de", segments: [segment] };
    const verbose = VerboseTranscription.parse(JSON.parse(body(own, "verbose_json")));
    expect(verbose.language).toBe("german");
    expect(verbose.segments![0]).toMatchObject({ avg_logprob: -0.25, no_speech_prob: 0.1 });
  });

  test.each([
    ["und", "unknown"],
    ["jw", "javanese"],
    ["yue", "cantonese"],
  ])("names the language %s %s", (language, name) => {
    const verbose = JSON.parse(body({ ...transcript, language }, "verbose_json")) as object;
    expect(verbose).toMatchObject({ language: name });
  });

  test("has words when they are asked for, and segments only then", () => {
    const verbose = VerboseTranscription.parse(
      JSON.parse(
        formatTranscript(transcript, "verbose_json", { ...options, granularities: ["word"] }).body,
      ),
    );
    expect(verbose.segments).toBeUndefined();
    expect(verbose.words).toEqual([
      { word: "hello", start: 0, end: 1 },
      { word: "you", start: 1, end: 2 },
    ]);
  });
});

describe("a language that was asked for", () => {
  test.each([
    ["en", "en"],
    ["EN-us", "en"],
    ["pt_BR", "pt"],
    ["German", "de"],
    [" Norwegian ", "no"],
    ["nb", "no"],
    ["jv", "jw"],
  ])("as %s is %s", (asked, code) => {
    expect(readSpokenLanguage(asked)).toBe(code);
  });

  test.each(["tlh", "xx", "Klingon", "", "-"])("as %j is none that an engine knows", (asked) => {
    expect(readSpokenLanguage(asked)).toBeUndefined();
  });

  test("has one name for each code, by which it is found again", () => {
    expect(new Set(spokenLanguages).size).toBe(100);
    for (const code of spokenLanguages) {
      expect(readSpokenLanguage(nameOfLanguage(code))).toBe(code);
    }
  });
});

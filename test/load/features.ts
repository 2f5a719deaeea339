import { createEgemaps } from "../../regions/speech/features/egemaps.ts";
import { readSpeech } from "./read-speech.ts";

/** openSMILE 3.0.2 on a core like this: 60 s of speech in 1.2 s, its start included. */
const REFERENCE = { name: "openSMILE 3.0.2 on such a core", value: 50 };
const SAMPLE_RATE = 16_000;
const SPEECH_S = 300;
const RUNS = 5;

const say = (line: string) => process.stdout.write(`${line}\n`);

/** Measures the whole set on five minutes of real speech in blocks of a second, and prints the median of five runs. */
export function benchFeatures({ json }: { json: boolean }): void {
  const speech = readSpeech();
  const speeds: number[] = [];
  for (let run = 0; run <= RUNS; run += 1) {
    const start = performance.now();
    const egemaps = createEgemaps();
    for (let second = 0; second < SPEECH_S; second += 1) {
      const at = (second * SAMPLE_RATE) % (speech.length - SAMPLE_RATE);
      egemaps.push(speech.subarray(at, at + SAMPLE_RATE));
    }
    egemaps.finish();
    const speed = SPEECH_S / ((performance.now() - start) / 1000);
    // The first run is the compiler's.
    if (run > 0) speeds.push(speed);
    if (!json && run > 0) say(`run ${run}: ${speed.toFixed(0)} x real time`);
  }
  const ours = Math.round(speeds.toSorted((a, b) => a - b)[Math.floor(RUNS / 2)]!);
  if (!json) say(`\n${SPEECH_S} s of speech a run, one core; median ${ours} x real time`);
  say(
    JSON.stringify({
      bench: "features",
      unit: "x real time",
      ours,
      reference: REFERENCE,
      limit: { name: "none", value: 0 },
      ratio_to_reference: Math.round((ours / REFERENCE.value) * 100) / 100,
      ratio_to_limit: null,
    }),
  );
}

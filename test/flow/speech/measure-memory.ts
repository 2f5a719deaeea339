/** Analyses the file that it is given and prints the most memory that it took, as a process that analyses and no more. */
import { readFile } from "node:fs/promises";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";

export interface MemoryReport {
  /** Resident memory at its highest, threads included. */
  own_mb: number;
  /** The decoder's, null where the system does not tell. */
  decoder_mb: number | null;
  result_bytes: number;
  frames: number;
}

const path = process.argv[2];
if (path === undefined) throw new Error("Which file?");
let pid: number | undefined;
const decoder = createDecoder({
  onSpawn: (spawned) => {
    pid = spawned;
  },
});
const inference = createInferenceThread();
const features = createFeaturesThread();
const parts = ["voice_activity", "features", "speaking_rate", "emotion"] as const;
const { made: _, ...result } = await createAnalyzer({ decoder, inference, features }).analyze(
  path,
  { parts },
);
// The decoder lives on for the next file; its high-water mark says what the last one took.
const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
const peak = /VmHWM:\s+(\d+)/.exec(status)?.[1];
const result_bytes = Buffer.byteLength(JSON.stringify(result));
const measured = result.features;
const report: MemoryReport = {
  own_mb: Math.round(process.resourceUsage().maxRSS / 1024),
  decoder_mb: peak === undefined ? null : Math.round(Number(peak) / 1024),
  result_bytes,
  frames: measured !== undefined && "tracks" in measured ? measured.tracks.f0_hz.length : 0,
};
process.stdout.write(JSON.stringify(report));
await decoder.close();
await inference.close();
await features.close();

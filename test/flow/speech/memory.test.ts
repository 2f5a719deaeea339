import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, readdir, open } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { workerEnvironment } from "../../../regions/worker-environment.ts";
import { wav } from "../../../scripts/fixtures/wav.ts";
import { makeFolder } from "./fixtures.ts";
import type { MemoryReport } from "./measure-memory.ts";

let folder: Awaited<ReturnType<typeof makeFolder>>;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(() => folder.remove());

const entry = fileURLToPath(new URL("measure-memory.ts", import.meta.url));

/** The prompts over and over, 16-bit mono at 16 kHz, written piece by piece. */
async function speechFor(seconds: number): Promise<string> {
  const prompts = new URL("../../fixtures/egemaps/", import.meta.url);
  const names = (await readdir(prompts)).filter((name) => name.endsWith(".wav"));
  const files = await Promise.all(names.map((name) => readFile(new URL(name, prompts))));
  const speech = Buffer.concat(files.map((file) => file.subarray(file.indexOf("data") + 8)));
  const path = folder.path(`speech-${seconds}.wav`);
  const header = wav(Buffer.alloc(0), { rate: 16_000, channels: 1, bits: 16 });
  const bytes = seconds * 32_000;
  header.writeUInt32LE(36 + bytes, 4);
  header.writeUInt32LE(bytes, 40);
  const file = await open(path, "w");
  try {
    await file.write(header);
    for (let left = bytes; left > 0; left -= speech.length) {
      await file.write(speech, 0, Math.min(left, speech.length));
    }
  } finally {
    await file.close();
  }
  return path;
}

/** Analyses a file in a process of its own, which reports the most memory that it and its decoder ever had. */
async function analyseAlone(path: string): Promise<MemoryReport> {
  const child = spawn(process.execPath, [entry, path], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...workerEnvironment },
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number];
  expect(code).toBe(0);
  return JSON.parse(text) as MemoryReport;
}

test("an hour of speech is analysed within bounds, and its result is of a size that can be sent", async () => {
  const hour = await analyseAlone(await speechFor(3600));
  process.stdout.write(
    `an hour analysed: ${hour.own_mb} MB at most, its decoder ${hour.decoder_mb ?? "?"} MB, result ${(hour.result_bytes / 1e6).toFixed(1)} MB of JSON\n`,
  );
  expect(hour.frames).toBe(359_995);
  // The goal is 300, and 275 to 290 is what it takes; the rest is leave for other allocators and busier machines. When
  // blocks and copies were left to the collectors it took 450, its decoder 300.
  expect(hour.own_mb).toBeLessThan(320);
  if (hour.decoder_mb !== null) expect(hour.decoder_mb).toBeLessThan(150);
  expect(hour.result_bytes).toBeLessThan(5e6);
}, 600_000);

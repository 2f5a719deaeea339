import { mkdir, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AnalysisResult } from "../../../shared/contracts/analysis-result.ts";
import type { Transcript } from "../../../shared/contracts/analysis-result.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { promptPath } from "../speech/fixtures.ts";
import { installTinyWhisper } from "../speech/whisper-fixture.ts";
import { startRegionBench, type RegionBench } from "./region-bench.ts";

/** Worker processes as they run in production, on a machine where the tiny Whisper is installed. */
let bench: RegionBench;
const speech = await readFile(promptPath("prompt-followme_no-recording"));

beforeAll(async () => {
  bench = await startRegionBench();
}, 30_000);
afterAll(() => bench.close());

async function install(name: string) {
  const folder = join(bench.folder, name);
  await mkdir(folder);
  const { manifest, models, installed } = await installTinyWhisper(folder);
  return {
    installed,
    environment: {
      ANTIPHON_MODELS_MANIFEST: manifest,
      ANTIPHON_MODELS_DIR: models,
      // Without PocketSphinx, wherever this runs.
      PATH: folder,
    },
  };
}

async function submit(changes: Partial<JobSpec>): Promise<string> {
  const spec = jobSpec({ parts: ["transcript"], ...changes });
  await bench.putUpload(spec, speech);
  await bench.queue.submit(spec);
  return spec.id;
}

async function ends(id: string) {
  const own = async () => (await bench.offers()).filter(({ offer }) => offer.job_id === id);
  await expect.poll(own, { timeout: 40_000, interval: 50 }).toHaveLength(1);
  return (await own())[0]!;
}

test("a worker transcribes with the Whisper that is installed, and refuses beside it what cannot be had", async () => {
  const { environment } = await install("whole");
  const ids = {
    english: await submit({ language: "en", model: "whisper-1", parts: ["transcript", "age"] }),
    again: await submit({ language: "en", model: "whisper-tiny-random" }),
    klingon: await submit({ language: "tlh" }),
    absent: await submit({ model: "whisper-small" }),
    fallback: await submit({ model: "pocketsphinx-en-us" }),
  };
  const worker = bench.startWorker("w1", { ...environment, WORKER_CONCURRENCY: "4" });

  const [english, again] = await Promise.all(
    [ids.english, ids.again].map(async (id) => {
      const { offer } = await ends(id);
      expect(offer).toMatchObject({ status: "succeeded", epoch: { attempt: 1 } });
      return AnalysisResult.parse(
        JSON.parse((await bench.objects.getText(offer.result_key!, 1e6))!),
      );
    }),
  );
  const transcript = english!.transcript as Transcript;
  expect(transcript).toMatchObject({ language: "en", quality: "full", word_times: "estimated" });
  expect(transcript.words!.length).toBeGreaterThan(0);
  expect(transcript.segments[0]).toMatchObject({
    average_logprob: expect.any(Number),
    no_speech_probability: expect.any(Number),
  });
  expect(english!.engines["transcribe"]).toMatchObject({
    name: "whisper-tiny-random",
    version: "1",
  });
  expect(english!.timings_ms["transcribe"]).toBeGreaterThan(0);
  expect((again!.transcript as Transcript).text).toBe(transcript.text);

  const refusals: [id: string, code: string, detail: RegExp][] = [
    [ids.klingon, "language_unsupported", /does not know the language tlh/],
    [ids.absent, "model_unavailable", /To install it: npm run models -- pull whisper-small$/],
    [ids.fallback, "model_unavailable", /apt-get install pocketsphinx/],
  ];
  for (const [id, code, detail] of refusals) {
    const { offer } = await ends(id);
    expect(offer).toMatchObject({
      status: "failed",
      epoch: { attempt: 1 },
      error: { code, detail: expect.stringMatching(detail), retryable: false },
    });
  }
  worker.kill("SIGKILL");
}, 60_000);

test("a model whose bytes were changed is tried once more elsewhere, and then said to be damaged", async () => {
  const { installed, environment } = await install("damaged");
  const file = await open(join(installed, "onnx/encoder_model.onnx"), "r+");
  await file.write(Buffer.from("other bytes"), 0, 11, 100);
  await file.close();
  // In a language whose transcript no worker has made, or it would be found.
  const id = await submit({ language: "de" });
  bench.startWorker("w2", environment);
  const { offer } = await ends(id);
  expect(offer).toMatchObject({
    status: "failed",
    epoch: { attempt: 2 },
    error: {
      code: "model_unusable",
      detail: expect.stringMatching(
        /^whisper-tiny-random: .*encoder_model.onnx has the SHA-256 .* npm run models -- pull whisper-tiny-random$/,
      ),
      retryable: false,
    },
  });
}, 60_000);

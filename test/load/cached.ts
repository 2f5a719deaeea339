import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "../../shared/client/client.ts";
import { Job } from "../../shared/contracts/api.ts";
import { regions } from "../../shared/contracts/regions.ts";
import { pcm16, wav } from "../../scripts/fixtures/wav.ts";
import { startPlanet } from "../../scripts/planet/planet.ts";
import { readSpeech } from "./read-speech.ts";

const CLIP_S = 60;
const RATE = 16_000;
/** Recordings that nobody has sent before, and how often each is sent again. */
const RECORDINGS = 3;
const AGAIN = 10;
const WAIT_S = 60;
const GOAL = 0.05;

const say = (line: string) => process.stdout.write(`${line}\n`);

/**
 * From the request for an analysis to its result, through the edge of a planet of two regions: of clips of a minute that are
 * new, and of the same ones again, each time as an upload of its own. All parts are asked for that can be made here.
 */
export async function benchCached({ json }: { json: boolean }): Promise<void> {
  const stateDir = await mkdtemp(join(tmpdir(), "antiphon-bench-"));
  const note = json ? () => undefined : say;
  note("booting a planet of two regions");
  const planet = await startPlanet({
    stateDir,
    regions: regions.slice(0, 2),
    environment: "test",
    logLevel: "warn",
    usePreferredPorts: false,
  });
  try {
    const { edge } = planet.urls;
    const key = planet.keys.demo;
    const client = createClient({ baseUrl: edge, apiKey: key });

    /** Uploads a clip and asks for its analysis; the upload is not timed. */
    async function analyse(clip: Uint8Array<ArrayBuffer>): Promise<{ ms: number; job: Job }> {
      const upload = await client.createUpload({
        content_type: "audio/wav",
        bytes: clip.length,
        sha256: createHash("sha256").update(clip).digest("hex"),
      });
      await client.putUpload(upload, new Blob([clip]));
      const start = performance.now();
      const response = await fetch(`${edge}/v1/analyses`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${key}`,
          "content-type": "application/json",
          prefer: `wait=${WAIT_S}`,
        },
        body: JSON.stringify({ upload_id: upload.upload_id }),
      });
      const answer: unknown = await response.json();
      if (!response.ok) throw new Error(`HTTP ${response.status}: ${JSON.stringify(answer)}`);
      let job = Job.parse(answer);
      // A machine this slow needs more than one wait.
      if (!job.result) job = await client.waitForJob(job.id);
      const ms = performance.now() - start;
      if (job.status !== "succeeded" || !job.result) throw new Error(`${job.id} ${job.status}`);
      return { ms, job };
    }

    // What starts with the first job (threads, models, compiled code) is no part of an analysis.
    await analyse(clipOf(0, 5));

    const cold: number[] = [];
    const hot: number[] = [];
    const stages: Record<string, number> = {};
    for (let n = 1; n <= RECORDINGS; n += 1) {
      const clip = clipOf(n, CLIP_S);
      const first = await analyse(clip);
      assertAll(first.job, "miss");
      cold.push(first.ms);
      for (const [stage, ms] of Object.entries(first.job.result!.timings_ms)) stages[stage] = ms;
      note(`clip ${n}: ${Math.round(first.ms)} ms when it was new`);
      for (let again = 0; again < AGAIN; again += 1) {
        const known = await analyse(clip);
        assertAll(known.job, "hit");
        hot.push(known.ms);
      }
    }
    const ours = median(hot);
    const value = median(cold);
    note(`new, p50 of ${cold.length}: ${Math.round(value)} ms; its stages, the last time:`);
    note(
      `  ${Object.entries(stages)
        .map(([stage, ms]) => `${stage} ${Math.round(ms)}`)
        .join(", ")}`,
    );
    note(
      `seen before, p50 of ${hot.length}: ${ours.toFixed(1)} ms (slowest ${Math.round(Math.max(...hot))} ms)`,
    );
    note(`ratio ${(ours / value).toFixed(4)}, at most ${GOAL}`);
    say(
      JSON.stringify({
        bench: "cached",
        unit: "ms",
        ours: Math.round(ours * 10) / 10,
        reference: { name: "the cold analysis", value: Math.round(value) },
        limit: { name: "none", value: 0 },
        ratio_to_reference: Math.round((ours / value) * 10_000) / 10_000,
        ratio_to_limit: null,
      }),
    );
  } finally {
    await planet.stop();
    await rm(stateDir, { recursive: true, force: true });
  }
}

/** Seconds of the prompts over and over, begun elsewhere for each `n`. */
function clipOf(n: number, seconds: number): Uint8Array<ArrayBuffer> {
  const speech = readSpeech();
  const samples = Float32Array.from(
    { length: seconds * RATE },
    (_, i) => speech[(i + n * 7001) % speech.length]!,
  );
  return new Uint8Array(wav(pcm16(samples), { rate: RATE, channels: 1, bits: 16 }));
}

function assertAll(job: Job, outcome: "hit" | "miss"): void {
  const wrong = Object.entries(job.result!.cache).filter(([, each]) => each !== outcome);
  if (wrong.length > 0)
    throw new Error(`${job.id}: ${JSON.stringify(wrong)} instead of ${outcome}`);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

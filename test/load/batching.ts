import { Worker } from "node:worker_threads";
import { createInference } from "../../regions/speech/inference/create-inference.ts";
import type { Inference } from "../../regions/speech/inference/create-inference-thread.ts";
import { loadSession } from "../../regions/speech/inference/load-session.ts";
import { runtimeModelOf } from "../../regions/speech/inference/runtime-model.ts";
import type { RuntimeModel } from "../../regions/speech/inference/runtime-model.ts";
import { loadManifest } from "../../regions/speech/models/load-manifest.ts";
import { resolveModel } from "../../regions/speech/models/resolve-model.ts";
import { callModel, FRAME } from "../../regions/speech/voice-activity/call-model.ts";
import { createVoiceStreams } from "../../regions/speech/voice-activity/create-voice-streams.ts";
import type { VoiceStreams } from "../../regions/speech/voice-activity/create-voice-streams.ts";
import {
  CONTEXT,
  emptyState,
  RECURRENT,
  WINDOW,
} from "../../regions/speech/voice-activity/voice-activity-state.ts";
import { readSpeech } from "./read-speech.ts";

const WINDOW_MS = 32;
/** From the moment at which the last sample of a window was there. */
const DEADLINE_MS = 100;
/** The sooner a stream's window goes, the smaller are the batches. */
const MAX_WAIT_MS = 12;
const FEWEST_STREAMS = 200;
/** Of what the best fixed batch does in the same round, so much is offered by streams in real time. */
const OFFERED = 0.88;
const FIXED_BATCHES = [32, 64, 128];
const REFERENCE_S = 0.3;
const PACED_S = 2;
/** Rounds that count, and rounds after which it is enough whatever the machine was like. */
const ROUNDS = 7;
const MOST_ROUNDS = 20;
/** A round counts when the fixed batch, before it and after it, was as fast as so much of the fastest seen. */
const STEADY = 0.85;

type Session = Awaited<ReturnType<typeof loadSession>>;

const say = (line: string) => process.stdout.write(`${line}\n`);

interface Round {
  /** Frames per second, one call each, through the inference thread. */
  single: number;
  /** The same with neither thread nor streams: nothing but the model's call. */
  bareSingle: number;
  limit: number;
  /** The slower of what the fixed batch did before and after. */
  slowest: number;
  limitBatch: number;
  ours: number;
  streams: number;
  late: number;
  frames: number;
  p50: number;
  p99: number;
  batch: number;
}

/**
 * Streams of speech in real time, a window each 32 ms, through the batcher: as many as come to 0.9 of what the best fixed batch
 * does when it is fed flat out. References and ours take turns, for other work on the machine comes and goes; medians count,
 * of the rounds in which the references say that the machine was its own.
 */
export async function benchBatching({ json }: { json: boolean }): Promise<void> {
  const found = resolveModel(loadManifest(), "voice_activity");
  if (found.status !== "ready") throw new Error(found.reason);
  const model = runtimeModelOf(found);
  const speech = readSpeech();
  const inference = createInference();
  const session = await loadSession(model, { threads: 1, cpuOnly: true });
  let frames = 0;
  let batches = 0;
  let deviations = 0;
  const streams = createVoiceStreams({
    inference,
    model,
    sampleEvery: 100,
    onBatch: ({ count }) => {
      frames += count;
      batches += 1;
    },
    onDeviation: () => {
      deviations += 1;
    },
  });
  const rounds: Round[] = [];
  const steadyRounds = () => {
    const fastest = Math.max(...rounds.map(({ limit }) => limit));
    return rounds.filter(({ slowest }) => slowest >= STEADY * fastest);
  };
  for (let round = 0; round <= MOST_ROUNDS && steadyRounds().length < ROUNDS; round += 1) {
    const single = await runSingle(inference, model, speech);
    const bareSingle = await runFixed(session, 1, speech);
    const fixed: { batch: number; speed: number }[] = [];
    for (const batch of FIXED_BATCHES) {
      fixed.push({ batch, speed: await runFixed(session, batch, speech) });
    }
    const best = fixed.reduce((a, b) => (b.speed > a.speed ? b : a));
    const count = Math.max(FEWEST_STREAMS, Math.round((OFFERED * best.speed * WINDOW_MS) / 1000));
    frames = 0;
    batches = 0;
    const paced = await runPaced(streams, count, speech);
    // Half before and half after: what the machine had to give meanwhile is in between.
    const after = await runFixed(session, best.batch, speech);
    const result = {
      single,
      bareSingle,
      limit: (best.speed + after) / 2,
      slowest: Math.min(best.speed, after),
      limitBatch: best.batch,
      streams: count,
      batch: frames / batches,
      ...paced,
    };
    // The first round is the compiler's, and the batcher's to learn.
    if (round === 0) continue;
    rounds.push(result);
    if (!json) {
      say(
        `round ${round}: one call a frame ${k(single)} (bare ${k(bareSingle)}), ` +
          `best fixed batch ${k(result.limit)} at ${best.batch}, ` +
          `${count} streams ${k(result.ours)} frames/s in batches of ${result.batch.toFixed(0)}, ` +
          `p50 ${result.p50.toFixed(1)} ms, p99 ${result.p99.toFixed(1)} ms, late ${percent(result.late / result.frames)}`,
      );
    }
  }
  await inference.close();
  const handing = await compareHanding(speech);
  // By the references alone: what ours did has no say in it.
  const steady = steadyRounds().length === 0 ? rounds : steadyRounds();
  const late =
    steady.reduce((sum, round) => sum + round.late, 0) /
    steady.reduce((sum, round) => sum + round.frames, 0);
  const middle = (of: (round: Round) => number) => median(steady.map(of));
  const ratio_to_reference = round2(middle(({ ours, single }) => ours / single));
  const ratio_to_limit = round2(middle(({ ours, limit }) => ours / limit));
  const bare = round2(middle(({ ours, bareSingle }) => ours / bareSingle));
  if (!json) {
    say(
      `\n${steady.length} of ${rounds.length} rounds count: in the others the machine was busy with something else`,
    );
    say(
      `to one call a frame ${ratio_to_reference}x (to the bare call in a loop, without streams or thread, ${bare}x); ` +
        `to the best fixed batch ${ratio_to_limit}; late (more than ${DEADLINE_MS} ms after its last sample) ${percent(late)}`,
    );
    say(
      `handed to a thread and back, 64 windows with their states: ${handing.cloned.toFixed(2)} us a window copied, ` +
        `${handing.shared.toFixed(2)} us in shared memory: ${(handing.cloned / handing.shared).toFixed(1)}x`,
    );
    say(`run again alone and found to differ: ${deviations}`);
  }
  say(
    JSON.stringify({
      bench: "batching",
      unit: "frames/s",
      ours: Math.round(middle(({ ours }) => ours)),
      reference: {
        name: "one call a frame on the same inference thread",
        value: Math.round(middle(({ single }) => single)),
      },
      limit: {
        name: "the best fixed batch fed flat out",
        value: Math.round(middle(({ limit }) => limit)),
      },
      ratio_to_reference,
      ratio_to_limit,
      ratio_to_bare_calls: bare,
      streams: Math.round(middle((round) => round.streams)),
      deadline_ms: DEADLINE_MS,
      late: Math.round(late * 1e5) / 1e5,
      late_median_round: Math.round(middle((round) => round.late / round.frames) * 1e5) / 1e5,
      p99_ms: Math.round(middle(({ p99 }) => p99) * 10) / 10,
      shared_memory_gain: round2(handing.cloned / handing.shared),
      deviations,
      rounds: rounds.length,
      rounds_counted: steady.length,
    }),
  );
}

/** What streams do without a batcher: each hands its window to the inference thread, which is never without one. */
async function runSingle(
  inference: Inference,
  model: RuntimeModel,
  speech: Float32Array,
): Promise<number> {
  const start = performance.now();
  let frames = 0;
  async function stream(offset: number): Promise<void> {
    let state = emptyState();
    const samples = new Float32Array(new SharedArrayBuffer(WINDOW * 4));
    for (let at = offset; performance.now() - start < REFERENCE_S * 1000; at += WINDOW) {
      samples.set(windowAt(speech, at));
      const output = await inference.run("voice_activity", model, { samples, state });
      state = output.state;
      frames += 1;
    }
  }
  await Promise.all(Array.from({ length: 8 }, (_, i) => stream(i * 10_000)));
  return frames / ((performance.now() - start) / 1000);
}

/** Nothing but calls of one size, one after the other: no streams, no thread, no waiting. */
async function runFixed(session: Session, batch: number, speech: Float32Array): Promise<number> {
  const input = new Float32Array(batch * FRAME);
  for (let i = 0; i < batch; i += 1) {
    const at = (i * 10_007) % (speech.length - FRAME);
    input.set(speech.subarray(at, at + FRAME), i * FRAME);
  }
  let recurrent = new Float32Array(batch * RECURRENT);
  const start = performance.now();
  let frames = 0;
  while (performance.now() - start < REFERENCE_S * 1000) {
    const heard = await callModel(session, batch, input, recurrent);
    recurrent = heard.recurrent;
    frames += batch;
  }
  return frames / ((performance.now() - start) / 1000);
}

/** Each stream hands over a window every 32 ms, whatever became of the one before; their beginnings are spread evenly. */
async function runPaced(
  voices: VoiceStreams,
  count: number,
  speech: Float32Array,
): Promise<Pick<Round, "ours" | "late" | "frames" | "p50" | "p99">> {
  const streams = Array.from({ length: count }, () =>
    voices.open({ deadlineMs: DEADLINE_MS, maxWaitMs: MAX_WAIT_MS }),
  );
  const start = performance.now();
  const total = Math.round((PACED_S * 1000 * count) / WINDOW_MS);
  const delays = new Float64Array(total);
  const dueAt = (frame: number) => start + (frame * WINDOW_MS) / count;
  const heard: Promise<void>[] = [];
  let last = start;
  for (let frame = 0; frame < total;) {
    const now = performance.now();
    for (; frame < total && dueAt(frame) <= now; frame += 1) {
      const due = dueAt(frame);
      const at = Math.floor(frame / count) * WINDOW + (frame % count) * 10_007;
      const own = frame;
      const answer = streams[frame % count]!.hear(windowAt(speech, at), new Float32Array(1));
      heard.push(
        answer.then(() => {
          last = performance.now();
          delays[own] = last - due;
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(heard);
  for (const stream of streams) stream.close();
  const sorted = delays.toSorted();
  return {
    frames: total,
    late: delays.reduce((late, delay) => late + Number(delay > DEADLINE_MS), 0),
    ours: total / ((last - start) / 1000),
    p50: sorted[Math.floor(total * 0.5)]!,
    p99: sorted[Math.floor(total * 0.99)]!,
  };
}

/** What it costs to hand 64 windows with their states to a thread and to have states and probabilities back. */
async function compareHanding(speech: Float32Array): Promise<{ cloned: number; shared: number }> {
  const count = 64;
  const turns = 400;
  const thread = new Worker(
    `const { parentPort } = require("node:worker_threads");
    let floats;
    parentPort.on("message", (message) => {
      if (message.memory) floats = new Float32Array(message.memory);
      else if (message.windows) parentPort.postMessage({ states: message.states, probabilities: new Float32Array(${count}) });
      else parentPort.postMessage({ done: message.items.length });
    });`,
    { eval: true },
  );
  const reply = () => new Promise((resolve) => thread.once("message", resolve));
  const memory = new SharedArrayBuffer(count * WINDOW * 4);
  const floats = new Float32Array(memory);
  const states = new Float32Array(count * (RECURRENT + CONTEXT));
  thread.postMessage({ memory });
  const times = { cloned: [] as number[], shared: [] as number[] };
  for (let turn = 0; turn < turns; turn += 1) {
    for (const way of ["cloned", "shared"] as const) {
      const begin = performance.now();
      const answer = reply();
      if (way === "cloned") {
        const windows = Array.from({ length: count }, (_, i) =>
          windowAt(speech, (turn + i) * WINDOW).slice(),
        );
        thread.postMessage({ windows, states });
      } else {
        for (let i = 0; i < count; i += 1) {
          floats.set(windowAt(speech, (turn + i) * WINDOW), i * WINDOW);
        }
        thread.postMessage({ items: new Int32Array(count * 4) });
      }
      await answer;
      times[way].push(((performance.now() - begin) * 1000) / count);
    }
  }
  await thread.terminate();
  return { cloned: median(times.cloned), shared: median(times.shared) };
}

function windowAt(speech: Float32Array, at: number): Float32Array {
  const from = at % (speech.length - WINDOW);
  return speech.subarray(from, from + WINDOW);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

function k(value: number): string {
  return `${(value / 1000).toFixed(1)}k`;
}

function percent(value: number): string {
  return `${(value * 100).toFixed(2)} %`;
}

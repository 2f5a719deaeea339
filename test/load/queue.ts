import { loadavg } from "node:os";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { startRedis } from "../support/redis.ts";
import { makeSpecs } from "./make-specs.ts";
import { bareStreams } from "./queue/bare-streams.ts";
import { bullmq } from "./queue/bullmq.ts";
import { inFlight, IN_FLIGHT, type Contender } from "./queue/contender.ts";
import { ours } from "./queue/ours.ts";

const JOBS = 5000;
const ROUNDS = 9;

interface Turn {
  /** Jobs per second: taken; taken by a worker and ended; and both one after the other. */
  enqueue: number;
  drain: number;
  whole: number;
}

const say = (line: string) => process.stdout.write(`${line}\n`);

/**
 * No-op jobs through our queue, BullMQ, and bare Redis Streams: first all are put in, then all are run, 50 in flight at a time. Each
 * turn has a new Redis that is on disk before it answers; the three take turns in changing order, and medians of the rounds' ratios count.
 * The main figure is the whole way, from the first job put in to the last one ended; the drain alone stands beside it.
 */
export async function benchQueue({ json }: { json: boolean }): Promise<void> {
  const contenders = [ours, bullmq, bareStreams] as const;
  const turns = new Map<Contender, Turn[]>(contenders.map((contender) => [contender, []]));
  // The first round is the compiler's.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const specs = makeSpecs(JOBS);
    for (let at = 0; at < contenders.length; at += 1) {
      const contender = contenders[(at + round) % contenders.length]!;
      const turn = await runTurn(contender, specs);
      if (round === 0) continue;
      turns.get(contender)!.push(turn);
      if (!json) {
        say(
          `round ${round}: ${contender.name.padEnd(18)} in ${k(turn.enqueue)}, drained ${k(turn.drain)}, ` +
            `whole ${k(turn.whole)} jobs/s`,
        );
      }
    }
  }
  const middle = (contender: Contender, of: (turn: Turn) => number) =>
    Math.round(median(turns.get(contender)!.map(of)));
  const ratio = (other: Contender, of: (turn: Turn) => number) =>
    round2(median(turns.get(ours)!.map((turn, round) => of(turn) / of(turns.get(other)![round]!))));
  const phases = {
    whole: (turn: Turn) => turn.whole,
    enqueue: (turn: Turn) => turn.enqueue,
    drain: (turn: Turn) => turn.drain,
  };
  const figures = Object.fromEntries(
    Object.entries(phases).map(([phase, of]) => [
      phase,
      {
        ours: middle(ours, of),
        reference: middle(bullmq, of),
        limit: middle(bareStreams, of),
        ratio_to_reference: ratio(bullmq, of),
        ratio_to_limit: ratio(bareStreams, of),
      },
    ]),
  );
  if (!json) {
    for (const [phase, figure] of Object.entries(figures)) {
      say(
        `${phase}: ours ${k(figure.ours)}, BullMQ ${k(figure.reference)}, bare ${k(figure.limit)} jobs/s: ` +
          `${figure.ratio_to_reference}x BullMQ, ${figure.ratio_to_limit} of bare Streams`,
      );
    }
  }
  const { whole, ...parts } = figures;
  say(
    JSON.stringify({
      bench: "queue",
      unit: "jobs/s",
      counted: "put in, claimed and ended",
      ours: whole!.ours,
      reference: { name: bullmq.name, value: whole!.reference },
      limit: { name: bareStreams.name, value: whole!.limit },
      ratio_to_reference: whole!.ratio_to_reference,
      ratio_to_limit: whole!.ratio_to_limit,
      ...parts,
      jobs: JOBS,
      in_flight: IN_FLIGHT,
      rounds: ROUNDS,
      load_average: round2(loadavg()[0]!),
    }),
  );
}

async function runTurn(contender: Contender, specs: readonly JobSpec[]): Promise<Turn> {
  const redis = await startRedis();
  try {
    const queue = await contender.open(redis.url);
    try {
      const start = performance.now();
      await inFlight(specs, (spec) => queue.enqueue(spec));
      const between = performance.now();
      const ended = await queue.drain(specs.length);
      const end = performance.now();
      if (!specs.every(({ id }) => ended.has(id))) throw new Error(`${contender.name} lost a job`);
      const perSecond = (ms: number) => (specs.length / ms) * 1000;
      return {
        enqueue: perSecond(between - start),
        drain: perSecond(end - between),
        whole: perSecond(end - start),
      };
    } finally {
      await queue.close();
    }
  } finally {
    await redis.close();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

function k(value: number): string {
  return `${(value / 1000).toFixed(1)}k`;
}

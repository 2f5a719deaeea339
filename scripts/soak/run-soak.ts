import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { createRedisQueue } from "../../regions/queue/redis-queue.ts";
import type { Queue, SubmitOutcome } from "../../regions/queue/queue-port.ts";
import { resultKeys } from "../../regions/results/result-keys.ts";
import { workerEnvironment } from "../../regions/worker-environment.ts";
import { freePort } from "../planet/ports.ts";
import { redisServer, redisUrl } from "../planet/redis-server.ts";
import { createSupervisor } from "../planet/supervisor.ts";
import { createClientLedger, type Judgement } from "./client-ledger.ts";
import { disturb, type Kills } from "./disturb.ts";
import { startPart, type Part } from "./part.ts";
import { planJob, REGION, type PlannedJob } from "./plan-job.ts";
import { serveLedger } from "./serve-ledger.ts";

export interface SoakOptions {
  minutes: number;
  /** Of the load and the disturbances; their timing is the machine's. */
  seed: number;
  /** Jobs a second. */
  rate?: number;
  workers?: number;
  /** Bounds of the pause between two disturbances. */
  disturbEveryMs?: readonly [number, number];
  /** Told how it goes, about every ten seconds. */
  onProgress?: (line: string) => void;
  /** Ends the load early, and with it the soak. */
  signal: AbortSignal;
}

export interface SoakReport extends Judgement {
  minutes: number;
  /** Faults in what must return to where it was; empty when all did. */
  left: string[];
  kills: Kills & { worker_by_job: number };
  interrupted: boolean;
  /** Of the keeper and of the one worker that is never killed, together. */
  rssMb: { before: number; after: number };
  heapMb: { before: number; after: number };
  handles: { before: number; after: number };
  /** Keys that stay. `expiring`: final jobs, which the region remembers for a day. */
  redisKeys: { before: number; after: number; expiring: number };
  redisMb: { before: number; after: number };
  loadAverage: number;
}

const LEASE_MS = 2000;
const LINK_SECRET = "a-secret-of-the-link-between-edge-and-region";
const PASSWORD = "soak";
/** With more jobs open than this the clients wait. */
const MOST_OPEN = 3000;
/** Jobs before the first measure: a process goes on growing until its code is compiled and its heap has found its size. */
const WARM_UP_JOBS = { least: 300, aMinute: 500, most: 3000 };
/** How long what is open may take once nothing disturbs it any more. */
const SETTLE_MS = 120_000;
/** A job that kills its worker takes others with it. */
const KILLER_EVERY = 1500;
/** What may have grown, of the two processes that are followed: nothing keeps its size to the last page. */
const SLACK = { rss: { factor: 1.5, by: 40 }, heap: { factor: 1.2, by: 10 }, handles: 6 };

/**
 * Holds a mixed load on the queue, with real worker processes, a keeper and Redis, kills and freezes them at random, and judges from
 * outside what became of every accepted job, and whether memory, handles and keys return to where they were.
 */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { minutes, seed, rate = 80, workers: count = 3, signal, onProgress = () => {} } = options;
  const { disturbEveryMs = [1000, 5000] } = options;
  const folder = await mkdtemp(join(tmpdir(), "antiphon-soak-"));
  const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const supervisor = createSupervisor({ stateDir: folder });
    undo.push(() => supervisor.stopAll());
    const port = await freePort();
    const redisSpec = redisServer({
      name: "redis",
      dir: join(folder, "redis"),
      port,
      password: PASSWORD,
      logFile: join(folder, "redis.log"),
    });
    await supervisor.start(redisSpec);
    const url = redisUrl(port, PASSWORD);
    const ledger = createClientLedger();
    const server = await serveLedger(ledger, LINK_SECRET);
    undo.push(() => server.close());

    const common = { REDIS_URL: url, LEASE_MS: String(LEASE_MS) };
    const parts: Part[] = [];
    undo.push(() => Promise.all(parts.map((part) => part.stop())));
    async function start(name: string, entry: string, env: Record<string, string>): Promise<Part> {
      const logFile = join(folder, `${name}.log`);
      const part = await startPart({ name, entry, env: { ...common, ...env }, logFile });
      parts.push(part);
      return part;
    }
    const keeper = await start("keeper", "./soak-keeper.ts", {
      LEDGER_URL: server.url,
      LINK_SECRET,
    });
    const workers: Part[] = [];
    for (let at = 0; at < count; at += 1) {
      const env = { ...workerEnvironment, WORKER_ID: `soak-${at}` };
      workers.push(await start(`worker-${at}`, "./soak-worker.ts", env));
    }
    const queue = createRedisQueue({ url, region: REGION, leaseMs: LEASE_MS, onDisk: true });
    undo.push(() => queue.close());
    const probe = new Redis(url, { retryStrategy: () => 50 });
    probe.on("error", () => undefined);
    undo.push(async () => probe.disconnect());

    const random = createRandom(seed);
    const late: Promise<void>[] = [];
    const faults: string[] = [];
    const client = createClient({ queue, ledger, faults, signal });
    let planned = 0;
    function next(): Promise<void> {
      planned += 1;
      const job = planJob(random, Date.now(), planned % KILLER_EVERY === 0);
      return client.run(job);
    }

    const { least, aMinute, most } = WARM_UP_JOBS;
    const warmUpJobs = Math.min(most, Math.round(least + minutes * aMinute));
    await Promise.all(Array.from({ length: warmUpJobs }, next));
    await settle(ledger, signal);
    const before = await measure([keeper, workers[0]!], probe);
    onProgress(`warmed up with ${warmUpJobs} jobs`);

    const kills: Kills = { worker: 0, redis: 0, worker_paused: 0, keeper_paused: 0 };
    const calm = new AbortController();
    const disturbing = disturb(
      {
        keeper,
        workers,
        mortal: workers.slice(1),
        async restartRedis() {
          await supervisor.find("redis")!.takeDown();
          await supervisor.start(redisSpec);
        },
      },
      {
        kills,
        random: createRandom(seed + 1),
        leaseMs: LEASE_MS,
        everyMs: disturbEveryMs,
        signal: AbortSignal.any([calm.signal, signal]),
      },
    );
    try {
      const end = performance.now() + minutes * 60_000;
      let tell = performance.now() + Math.min(10_000, minutes * 20_000);
      while (performance.now() < end && !signal.aborted) {
        if (performance.now() > tell) {
          tell += 10_000;
          const { accepted, finished } = ledger.judge();
          onProgress(
            `accepted ${accepted}, finished ${finished}, open ${ledger.open()}; killed: workers ${kills.worker}, ` +
              `Redis ${kills.redis}; frozen: workers ${kills.worker_paused}, keeper ${kills.keeper_paused}`,
          );
        }
        if (ledger.open() < MOST_OPEN) late.push(next());
        await sleep((-Math.log(1 - random()) * 1000) / rate, undefined, { signal }).catch(
          () => undefined,
        );
        if (late.length > 1000) await Promise.race([Promise.all(late.splice(0, 500)), sleep(5000)]);
      }
    } finally {
      calm.abort();
      await disturbing;
    }

    if (!signal.aborted) {
      await Promise.all(late);
      await settle(ledger, signal).catch(() => undefined);
    }
    const left: string[] = faults;
    if (!signal.aborted) left.push(...(await leftovers(queue, probe, ledger.judge(), signal)));
    const after = signal.aborted ? before : await measure([keeper, workers[0]!], probe);
    if (!signal.aborted) left.push(...grown(before, after));
    return {
      ...ledger.judge(),
      minutes,
      left,
      kills: {
        ...kills,
        worker_by_job: workers.reduce((sum, part) => sum + part.deaths(), 0) - kills.worker,
      },
      interrupted: signal.aborted,
      rssMb: { before: before.rssMb, after: after.rssMb },
      heapMb: { before: before.heapMb, after: after.heapMb },
      handles: { before: before.handles, after: after.handles },
      redisKeys: { before: before.keys, after: after.keys, expiring: after.expiring },
      redisMb: { before: before.redisMb, after: after.redisMb },
      loadAverage: loadavg()[0]!,
    };
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

/** A client that does with each job what its plan says, and tries again while Redis is away, as the ledger would. */
function createClient(options: {
  queue: Queue;
  ledger: ReturnType<typeof createClientLedger>;
  faults: string[];
  signal: AbortSignal;
}) {
  const { queue, ledger, faults, signal } = options;

  async function persist<T>(call: () => Promise<T>): Promise<{ answer: T; tries: number }> {
    for (let tries = 1; ; tries += 1) {
      signal.throwIfAborted();
      try {
        return { answer: await call(), tries };
      } catch {
        await sleep(50, undefined, { signal });
      }
    }
  }
  const submit = (spec: JobSpec) => persist<SubmitOutcome>(() => queue.submit(spec));

  async function play(job: PlannedJob): Promise<void> {
    const { spec, duplicates, cancelAfterMs, redispatchAfterMs } = job;
    const { id } = spec;
    ledger.reserve(job);
    const answers = await Promise.all(Array.from({ length: 1 + duplicates }, () => submit(spec)));
    ledger.accept(id);
    const first = answers.filter(({ answer }) => !answer.duplicate).length;
    if (first !== 1 && answers.every(({ tries }) => tries === 1)) {
      faults.push(`${id} was taken ${first} times`);
    }
    if (cancelAfterMs !== undefined) {
      await sleep(cancelAfterMs, undefined, { signal });
      const { answer, tries } = await persist(() => queue.cancel(id));
      // After an answer that was lost on the way, "too late" may be the doing of the first try.
      if (tries === 1) ledger.cancelAnswered(id, answer);
    }
    if (redispatchAfterMs !== undefined) {
      await sleep(redispatchAfterMs, undefined, { signal });
      if (ledger.redispatch(id, 2)) await submit({ ...spec, dispatch: 2 });
    }
  }

  return {
    /** Never rejects: what an abort cuts short is cut short. */
    async run(job: PlannedJob): Promise<void> {
      await play(job).catch((error: unknown) => {
        if (!signal.aborted) faults.push(`${job.spec.id}: ${String(error)}`);
      });
    },
  };
}

async function settle(
  ledger: ReturnType<typeof createClientLedger>,
  signal: AbortSignal,
): Promise<void> {
  const clock = AbortSignal.timeout(SETTLE_MS);
  await ledger.settled(AbortSignal.any([clock, signal]));
}

/** What must be empty once every job has ended, and is not. Dead letters are counted, and then discarded. */
async function leftovers(
  queue: Queue,
  probe: Redis,
  judgement: Judgement,
  signal: AbortSignal,
): Promise<string[]> {
  const left: string[] = [];
  const buried = await queue.deadLetters.discard("all");
  const failed = ["job_attempts_exhausted", "audio_corrupt"].reduce(
    (sum, code) => sum + (judgement.ends[code] ?? 0),
    0,
  );
  // A run of a dispatch that was replaced may have been buried too.
  if (buried < failed) left.push(`${buried} dead letters for ${failed} failed jobs`);
  // Runs that were replaced still come to their ends, and their offers are refused.
  const clock = AbortSignal.any([AbortSignal.timeout(20_000), signal]);
  let now: Record<string, number> = {};
  while (!clock.aborted) {
    const { waiting, running, delayed, dead, computeS } = await queue.load();
    now = { waiting, running, delayed, dead, computeS };
    for (const stream of ["offers", "outbox", "deadOffers", "deadOutbox"] as const) {
      now[stream] = await probe.xlen(resultKeys[stream]);
    }
    if (Object.values(now).every((value) => Math.abs(value) < 1e-6)) return left;
    await sleep(100, undefined, { signal: clock }).catch(() => undefined);
  }
  return [...left, `not empty: ${JSON.stringify(now)}`];
}

type Measured = Awaited<ReturnType<typeof measure>>;

async function measure(parts: readonly Part[], probe: Redis) {
  const sum = { rssMb: 0, heapMb: 0, handles: 0 };
  for (const part of parts) {
    const { rssMb, heapMb, handles } = await part.measure();
    sum.rssMb += rssMb;
    sum.heapMb += heapMb;
    sum.handles += handles;
  }
  let keys = 0;
  let expiring = 0;
  for await (const batch of probe.scanStream({ count: 1000 }) as AsyncIterable<string[]>) {
    const lives = await Promise.all(batch.map((key) => probe.ttl(key)));
    keys += lives.filter((seconds) => seconds === -1).length;
    expiring += lives.filter((seconds) => seconds >= 0).length;
  }
  const memory = /used_memory:(\d+)/.exec(await probe.info("memory"))![1];
  return { ...sum, keys, expiring, redisMb: Number(memory) / 2 ** 20 };
}

function grown(before: Measured, after: Measured): string[] {
  const left: string[] = [];
  const { rss, heap, handles } = SLACK;
  if (after.rssMb > before.rssMb * rss.factor + rss.by) left.push("memory has grown");
  if (after.heapMb > before.heapMb * heap.factor + heap.by) left.push("the heap has grown");
  if (after.handles > before.handles + handles) left.push("handles have grown");
  if (after.keys > before.keys) left.push("keys have stayed in Redis");
  return left;
}

/** Numbers from 0 to 1 that a seed decides (mulberry32, T. Ettinger). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

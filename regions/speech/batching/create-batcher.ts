import { guessCost, learnCost, predictMs } from "./cost-model.ts";
import type { CostModel } from "./cost-model.ts";
import { decideBatch, defaultBatchLimits } from "./decide-batch.ts";
import type { BatchLimits, Waiting } from "./decide-batch.ts";

export interface BatcherOptions<Item, Output> {
  /**
   * Runs the model once over items of one bucket and gives their outputs in their order; called again before it is done, it
   * runs one after the other. When it rejects, these items fail with its error and no others.
   */
  run(items: readonly Item[], seconds: number): Promise<readonly Output[]>;
  /** Seconds of audio (or whatever the cost grows with) that an item is padded to; items of one length share a batch. */
  paddedSeconds(item: Item): number;
  limits?: Partial<BatchLimits>;
  /** What is known of the model's speed before its first batch. */
  cost?: CostModel;
  /** How items are seen to be the same alone as in a batch while it runs. */
  sample?: BatchSampling<Item, Output> | undefined;
  onBatch?: ((batch: BatchReport) => void) | undefined;
}

export interface BatchSampling<Item, Output> {
  /** One item of every so many batches is run again. */
  every: number;
  /** The largest difference that is taken for the same. */
  tolerance: number;
  /**
   * Runs an item alone and gives the largest difference from what it got in the batch. What it needs of the item it has to
   * take before it first awaits: after that the item's owner has its result and goes on.
   */
  again(item: Item, output: Output): Promise<number>;
  /** A sample was more than the tolerance away; also called when it could not be run (`difference` NaN). */
  onDeviation(deviation: { difference: number; count: number; seconds: number }): void;
}

/** One batch that returned. */
export interface BatchReport {
  count: number;
  seconds: number;
  /** From when the model was free for it until it returned. */
  ms: number;
  predicted_ms: number;
  /** Items whose deadline was over when they returned. */
  late: number;
}

export interface SubmitOptions {
  /** When the result is due, milliseconds of `performance.now()`. */
  deadline?: number;
  /** How long the item may wait for company; 0 sends it as soon as the model is free. */
  maxWaitMs?: number;
  /** Items of one key are run one after the other, in the order in which they came. */
  key?: unknown;
  signal?: AbortSignal | undefined;
}

export interface Batcher<Item, Output> {
  /** Resolves with the item's output when its batch returned. */
  submit(item: Item, options?: SubmitOptions): Promise<Output>;
  /** What is known of the model's speed. */
  cost(): CostModel;
}

interface Entry<Item, Output> extends Waiting {
  item: Item;
  key: unknown;
  seconds: number;
  state: "held" | "waiting" | "running";
  resolve: (output: Output) => void;
  reject: (error: unknown) => void;
}

/** Far enough not to matter, near enough to be compared. */
const NO_HURRY_MS = 60_000;

/**
 * Gathers the items of all requests for one model into batches. When and which is `decideBatch`'s to say; here are the queue,
 * the clock and what each batch teaches of the model's speed. Holds nothing when nothing waits, so there is nothing to close.
 */
export function createBatcher<Item, Output>(
  options: BatcherOptions<Item, Output>,
): Batcher<Item, Output> {
  type Own = Entry<Item, Output>;
  const { run, paddedSeconds, sample, onBatch } = options;
  const limits = { ...defaultBatchLimits, ...options.limits };
  const buckets = new Map<number, { seconds: number; items: Own[] }>();
  /** Keys that have an item waiting or running, and the items that have to wait for it. */
  const busyKeys = new Map<unknown, Own[]>();
  let cost = options.cost ?? guessCost();
  let inFlight = 0;
  /** What all that is with the model is predicted to take, and when it is therefore free. */
  let aheadMs = 0;
  let freeAt = 0;
  let lastReturn = 0;
  let batches = 0;
  let isPumping = false;
  let timer: NodeJS.Timeout | undefined;

  /** Once for all that one turn of the event loop brings: who comes together goes together. */
  function pumpSoon(): void {
    if (isPumping) return;
    isPumping = true;
    setImmediate(() => {
      isPumping = false;
      pump();
    });
  }

  function pump(): void {
    clearTimeout(timer);
    for (;;) {
      const now = performance.now();
      const all = [...buckets.values()];
      const decision = decideBatch({ now, buckets: all, cost, inFlight, freeAt }, limits);
      if (decision.type === "wait") {
        if (decision.until !== Infinity) {
          timer = setTimeout(pump, Math.max(0, decision.until - now));
        }
        return;
      }
      const bucket = all[decision.bucket]!;
      const entries = bucket.items.splice(0, decision.count);
      if (bucket.items.length === 0) buckets.delete(bucket.seconds);
      void send(entries, bucket.seconds, now);
    }
  }

  async function send(entries: Own[], seconds: number, now: number): Promise<void> {
    const predicted_ms = predictMs(cost, entries.length, seconds);
    inFlight += 1;
    aheadMs += predicted_ms;
    freeAt = Math.max(now, freeAt) + predicted_ms;
    for (const entry of entries) entry.state = "running";
    try {
      const outputs = await run(
        entries.map(({ item }) => item),
        seconds,
      );
      // As seen from here, so that the way to the model and back counts, which a larger batch saves too.
      const returned = performance.now();
      const ms = returned - Math.max(now, lastReturn);
      lastReturn = returned;
      cost = learnCost(cost, { count: entries.length, seconds, ms });
      settle(entries, outputs, { seconds, ms, predicted_ms });
    } catch (error) {
      for (const entry of entries) entry.reject(error);
    } finally {
      inFlight -= 1;
      aheadMs -= predicted_ms;
      freeAt = performance.now() + aheadMs;
      for (const entry of entries) release(entry);
      pumpSoon();
    }
  }

  function settle(
    entries: Own[],
    outputs: readonly Output[],
    { seconds, ms, predicted_ms }: { seconds: number; ms: number; predicted_ms: number },
  ): void {
    const count = entries.length;
    if (outputs.length !== count) throw new TypeError("A batch gave another number of outputs.");
    batches += 1;
    if (sample !== undefined && batches % sample.every === 0) {
      const at = (batches / sample.every) % count;
      void check(sample, entries[at]!.item, outputs[at]!, { count, seconds });
    }
    const now = performance.now();
    let late = 0;
    for (const [i, entry] of entries.entries()) {
      if (now > entry.deadline) late += 1;
      entry.resolve(outputs[i]!);
    }
    onBatch?.({ count, seconds, ms, predicted_ms, late });
  }

  async function check(
    { again, tolerance, onDeviation }: BatchSampling<Item, Output>,
    item: Item,
    output: Output,
    batch: { count: number; seconds: number },
  ): Promise<void> {
    const difference = await again(item, output).catch(() => Number.NaN);
    if (!(difference <= tolerance)) onDeviation({ difference, ...batch });
  }

  function enqueue(entry: Own): void {
    entry.state = "waiting";
    let bucket = buckets.get(entry.seconds);
    if (bucket === undefined) {
      bucket = { seconds: entry.seconds, items: [] };
      buckets.set(entry.seconds, bucket);
    }
    const { items } = bucket;
    // Deadlines mostly come in order, so the place is near the end.
    let at = items.length;
    while (at > 0 && items[at - 1]!.deadline > entry.deadline) at -= 1;
    items.splice(at, 0, entry);
    pumpSoon();
  }

  /** Lets the next item of the same key in. */
  function release({ key }: Own): void {
    if (key === undefined) return;
    const next = busyKeys.get(key)?.shift();
    if (next === undefined) busyKeys.delete(key);
    else enqueue(next);
  }

  function withdraw(entry: Own): void {
    if (entry.state === "running") return;
    if (entry.state === "held") {
      const held = busyKeys.get(entry.key)!;
      held.splice(held.indexOf(entry), 1);
      return;
    }
    const { items } = buckets.get(entry.seconds)!;
    items.splice(items.indexOf(entry), 1);
    if (items.length === 0) buckets.delete(entry.seconds);
    release(entry);
  }

  async function submit(
    item: Item,
    { deadline, maxWaitMs = 0, key, signal }: SubmitOptions = {},
  ): Promise<Output> {
    signal?.throwIfAborted();
    const now = performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<Output>();
    const entry: Own = {
      item,
      key,
      seconds: paddedSeconds(item),
      deadline: deadline ?? now + NO_HURRY_MS,
      sendBy: now + maxWaitMs,
      state: "held",
      resolve,
      reject,
    };
    const held = key === undefined ? undefined : busyKeys.get(key);
    if (held === undefined) {
      if (key !== undefined) busyKeys.set(key, []);
      enqueue(entry);
    } else {
      held.push(entry);
    }
    if (signal === undefined) return promise;
    const abort = () => {
      withdraw(entry);
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  return { submit, cost: () => cost };
}

import { afterEach, beforeEach, describe, expect, it as define } from "vitest";
import { CompletionOffer, OutboxEnvelope } from "../../shared/contracts/completion.ts";
import { StaleDispatchError } from "../../regions/queue/queue-port.ts";
import type { Queue, Run } from "../../regions/queue/queue-port.ts";
import {
  endOf,
  failing,
  jobSpec,
  LEASE_MS,
  RETRY,
  type Ability,
  type Needing,
  type OpenQueue,
  type QueueBench,
  type QueueHarness,
} from "./queue-bench.ts";
import { queueEndings } from "./queue-endings.ts";
import { queueFairness } from "./queue-fairness.ts";
import { queueOperations } from "./queue-operations.ts";

/** The names of the tests that were defined, and of those that were not, with what the queue lacks for them. */
export interface Conformance {
  defined: string[];
  leftOut: { name: string; lacks: Ability[] }[];
}

/** What every adapter of the queue port must do, but for what it is known to lack. */
export function queueConformance(
  name: string,
  open: OpenQueue,
  lacks: ReadonlySet<Ability> = new Set(),
): Conformance {
  const conformance: Conformance = { defined: [], leftOut: [] };
  const needing: Needing =
    (...abilities) =>
    (test, run, timeoutMs) => {
      const missing = abilities.filter((ability) => lacks.has(ability));
      if (missing.length > 0) {
        conformance.leftOut.push({ name: test, lacks: missing });
        return;
      }
      conformance.defined.push(test);
      define(test, run, timeoutMs);
    };
  const it = needing();

  describe(`the ${name} queue`, () => {
    let time: number;
    let harness: QueueHarness;
    let queue: Queue;

    beforeEach(async () => {
      time = 1_800_000_000_000;
      harness = await open(() => time, RETRY);
      queue = harness.queue;
    });
    afterEach(() => harness.close());

    const never = new AbortController().signal;
    const claim = async (workerId = "w1"): Promise<Run> => {
      const run = await queue.claim({ workerId, signal: never });
      if (!run) throw new Error("nothing was claimed");
      return run;
    };
    const bench = (): QueueBench => ({
      ...harness,
      wait: (ms) => {
        time += ms;
      },
      now: () => time,
      claim: async (options) => {
        const run = await queue.claim({ workerId: "w1", signal: never, ...options });
        if (!run) throw new Error("nothing was claimed");
        return run;
      },
      async claimAll({ max = 1000, ...options } = {}) {
        const runs: Run[] = [];
        const stop = new AbortController();
        while (runs.length < max) {
          const claimed = queue.claimMany({
            workerId: "w1",
            signal: stop.signal,
            max: max - runs.length,
            ...options,
          });
          // It may end only after the claim has, and then with the queue.
          harness.foundNothing().then(
            () => stop.abort(),
            () => undefined,
          );
          runs.push(...(await claimed));
          if (stop.signal.aborted) break;
        }
        return runs;
      },
      finish: (run) => queue.finish(run, endOf(run, time)),
    });
    queueFairness(bench, needing);
    queueEndings(bench, needing);
    queueOperations(bench, needing);
    const epochs = async () => (await harness.offers()).map(({ offer }) => offer.epoch);

    it("gives a submitted job to a worker as attempt 1, with all of its spec", async () => {
      const spec = jobSpec({ user_id: "u-1", metadata: { title: "a b", ключ: "✓" } });
      expect(await queue.submit(spec)).toEqual({ duplicate: false, queue_position: 0 });
      const run = await claim();
      expect(run.spec).toEqual(spec);
      expect(run.epoch).toEqual({ dispatch: 1, attempt: 1 });
      expect(run).toMatchObject({ startedAtMs: time, leaseExpiresAtMs: time + LEASE_MS });
      expect(run.triedBefore).toBe(0);
    });

    needing("once")(
      "takes one dispatch once, however often and whenever it is submitted",
      async () => {
        const spec = jobSpec();
        await queue.submit(spec);
        expect(await queue.submit(spec)).toMatchObject({ duplicate: true });
        const run = await claim();
        expect(await queue.submit(spec)).toEqual({ duplicate: true, queue_position: 0 });
        await queue.finish(run, endOf(run, time));
        expect(await queue.submit(spec)).toMatchObject({ duplicate: true });
        expect(await queue.load()).toMatchObject({ waiting: 0, running: 0 });
        expect(await harness.offers()).toHaveLength(1);
      },
    );

    needing("state", "arrival")(
      "counts the jobs that go first, over all higher priorities",
      async () => {
        await queue.submit(jobSpec());
        const second = jobSpec();
        expect((await queue.submit(second)).queue_position).toBe(1);
        expect((await queue.submit(jobSpec({ priority: "interactive" }))).queue_position).toBe(0);
        expect((await queue.submit(jobSpec({ priority: "batch" }))).queue_position).toBe(3);
        expect((await queue.state(second.id))?.state.queue_position).toBe(2);
        await claim();
        expect((await queue.state(second.id))?.state.queue_position).toBe(1);
        expect(await queue.submit(second)).toEqual({ duplicate: true, queue_position: 1 });
        expect(await queue.load()).toMatchObject({ waiting: 3, running: 1 });
      },
    );

    it("runs interactive before standard before batch", async () => {
      for (const priority of ["batch", "standard", "interactive"] as const) {
        await queue.submit(jobSpec({ priority }));
      }
      const ran = [await claim(), await claim(), await claim()];
      expect(ran.map((run) => run.spec.priority)).toEqual(["interactive", "standard", "batch"]);
    });

    needing("arrival")("runs a tenant's jobs of a class in order of arrival", async () => {
      const order = ["batch", "standard", "interactive", "standard"] as const;
      const specs = order.map((priority) => jobSpec({ priority }));
      for (const spec of specs) await queue.submit(spec);
      const ran = [await claim(), await claim(), await claim(), await claim()];
      expect(ran.map((run) => run.spec.id)).toEqual([2, 1, 3, 0].map((index) => specs[index]!.id));
    });

    it("keeps lower priorities moving while higher ones never end", async () => {
      await queue.submit(jobSpec({ priority: "batch" }));
      await queue.submit(jobSpec({ priority: "standard" }));
      const ran = new Set<string>();
      for (let turn = 0; turn < 16; turn++) {
        await queue.submit(jobSpec({ priority: "interactive" }));
        ran.add((await claim()).spec.priority);
      }
      expect([...ran].toSorted()).toEqual(["batch", "interactive", "standard"]);
    });

    it("wakes a waiting worker when a job comes", async () => {
      const waiting = claim();
      const spec = jobSpec();
      await queue.submit(spec);
      expect((await waiting).spec.id).toBe(spec.id);
    });

    it("gives one job to one of many waiting workers", async () => {
      const stop = new AbortController();
      const waiting = ["a", "b", "c"].map((workerId) =>
        queue.claim({ workerId, signal: stop.signal }),
      );
      await queue.submit(jobSpec());
      await Promise.race(waiting);
      stop.abort();
      const runs = await Promise.all(waiting);
      expect(runs.filter((run) => run !== undefined)).toHaveLength(1);
    });

    it("ends a wait at once when it is aborted, and takes nothing", async () => {
      const stop = new AbortController();
      const waiting = queue.claim({ workerId: "w1", signal: stop.signal });
      stop.abort();
      expect(await waiting).toBeUndefined();
      await queue.submit(jobSpec());
      expect(await queue.load()).toMatchObject({ waiting: 1, running: 0 });
    });

    it("keeps a lease for as long as it is renewed", async () => {
      await queue.submit(jobSpec());
      const run = await claim();
      for (let renewal = 0; renewal < 5; renewal++) {
        time += LEASE_MS - 1;
        expect(await queue.renew(run)).toEqual({
          leaseExpiresAtMs: time + LEASE_MS,
          cancelRequested: false,
        });
        expect(await queue.reap()).toEqual([]);
      }
      expect(await queue.finish(run, endOf(run, time))).toBe("offered");
    });

    it("lets a worker whose lease is over neither renew, report, hand back nor finish", async () => {
      await queue.submit(jobSpec());
      const run = await claim();
      time += LEASE_MS;
      const refused = async () => {
        expect(await queue.renew(run)).toBeUndefined();
        expect(await queue.progress(run, 0.5)).toBe(false);
        expect(await queue.release(run, { because: "drain" })).toBe("fenced");
        expect(await queue.release(run, failing)).toBe("fenced");
        expect(await queue.finish(run, endOf(run, time))).toBe("fenced");
      };
      await refused();
      await queue.reap();
      await refused();
      const second = await claim("w2");
      await refused();
      expect(second.epoch).toEqual({ dispatch: 1, attempt: 2 });
      expect(second.triedBefore).toBe(0);
      expect(await queue.finish(second, endOf(second, time))).toBe("offered");
      await refused();
      expect(await epochs()).toEqual([{ dispatch: 1, attempt: 2 }]);
    });

    it("offers an end once, even when the worker asks twice", async () => {
      await queue.submit(jobSpec());
      const run = await claim();
      const end = endOf(run, time);
      expect(await queue.finish(run, end)).toBe("offered");
      expect(await queue.finish(run, end)).toBe("offered");
      expect(await harness.offers()).toEqual([end]);
      expect(await queue.renew(run)).toBeUndefined();
    });

    it("ends a job that three workers died of as failed, and never drops it", async () => {
      const spec = jobSpec({ residency: "eu", user_id: "u-1", metadata: { a: "b" } });
      await queue.submit(spec);
      for (let attempt = 1; attempt <= 3; attempt++) {
        expect((await claim()).epoch.attempt).toBe(attempt);
        time += LEASE_MS;
        await queue.reap();
      }
      expect(await bench().claimAll()).toEqual([]);
      const [end, ...more] = await harness.offers();
      expect(more).toEqual([]);
      expect(CompletionOffer.parse(end!.offer)).toMatchObject({
        job_id: spec.id,
        status: "failed",
        error: { code: "job_attempts_exhausted", retryable: true },
        cost: { usd: 0, stages: [] },
      });
      // Not of an epoch that is older than the last run's.
      expect(end!.offer.epoch.attempt).toBeGreaterThanOrEqual(3);
      expect(OutboxEnvelope.parse(end!.envelope).job).toMatchObject({
        error_code: "job_attempts_exhausted",
        user_id: null,
        metadata: null,
      });
      expect(await queue.load()).toMatchObject({ waiting: 0, running: 0, dead: 1 });
    });

    needing("reaper", "once")(
      "has the reaper say whom it took a run from, and end the third at once",
      async () => {
        const spec = jobSpec();
        await queue.submit(spec);
        for (const [attempt, outcome] of ["requeued", "requeued", "failed"].entries()) {
          await claim();
          time += LEASE_MS;
          const epoch = { dispatch: 1, attempt: attempt + 1 };
          expect(await queue.reap()).toEqual([{ jobId: spec.id, epoch, outcome }]);
        }
        expect(await epochs()).toEqual([{ dispatch: 1, attempt: 3 }]);
        expect(await queue.submit(spec)).toMatchObject({ duplicate: true });
      },
    );

    needing("reaper")(
      "takes a run from its worker once when several reapers come at once",
      async () => {
        await queue.submit(jobSpec());
        await claim();
        time += LEASE_MS;
        const reaped = await Promise.all([queue.reap(), queue.reap(), queue.reap()]);
        expect(reaped.flat()).toHaveLength(1);
        expect(await queue.load()).toMatchObject({ waiting: 1, running: 0 });
        expect((await claim()).epoch.attempt).toBe(2);
      },
    );

    it("hands a run back without cost under a new attempt number, so that the old run is fenced", async () => {
      const spec = jobSpec();
      await queue.submit(spec);
      let run = await claim();
      for (let drain = 0; drain < 5; drain++) {
        expect(await queue.release(run, { because: "drain" })).toBe("requeued");
        const next = await claim();
        expect(next.spec.id).toBe(spec.id);
        expect(next).toMatchObject({ triedBefore: 0, epoch: { attempt: run.epoch.attempt + 1 } });
        expect(await queue.finish(run, endOf(run, time))).toBe("fenced");
        run = next;
      }
      expect(await queue.finish(run, endOf(run, time))).toBe("offered");
    });

    needing("arrival")("hands a run back to its old place, before what came later", async () => {
      const spec = jobSpec();
      await queue.submit(spec);
      await queue.submit(jobSpec());
      await queue.release(await claim(), { because: "drain" });
      expect((await claim()).spec.id).toBe(spec.id);
    });

    needing("once")(
      "lets a newer dispatch replace a waiting and a running one, and refuses an older one",
      async () => {
        const spec = jobSpec();
        await queue.submit(spec);
        expect(await queue.submit({ ...spec, dispatch: 2 })).toMatchObject({ duplicate: false });
        expect(await queue.load()).toMatchObject({ waiting: 1, running: 0 });
        const second = await claim();
        expect(second.epoch).toEqual({ dispatch: 2, attempt: 1 });
        await queue.submit({ ...spec, dispatch: 4 });
        expect(await queue.load()).toMatchObject({ waiting: 1, running: 0 });
        expect(await queue.renew(second)).toBeUndefined();
        expect(await queue.finish(second, endOf(second, time))).toBe("fenced");
        const fourth = await claim();
        expect(await queue.finish(second, endOf(second, time))).toBe("fenced");
        await expect(queue.submit({ ...spec, dispatch: 3 })).rejects.toThrow(StaleDispatchError);
        expect(await queue.finish(fourth, endOf(fourth, time))).toBe("offered");
        expect(await epochs()).toEqual([{ dispatch: 4, attempt: 1 }]);
      },
    );

    needing("state")("tells how a job is doing, and whose it is", async () => {
      const spec = jobSpec({ tenant_id: "ten_other" });
      expect(await queue.state(spec.id)).toBeUndefined();
      await queue.submit(spec);
      expect(await queue.state(spec.id)).toMatchObject({
        tenantId: "ten_other",
        state: { status: "queued", epoch: { dispatch: 1, attempt: 0 }, queue_position: 0 },
      });
      const run = await claim();
      expect(await queue.progress(run, 0.25)).toBe(true);
      const running = {
        status: "running",
        epoch: { dispatch: 1, attempt: 1 },
        started_at: new Date(time).toISOString(),
      };
      expect((await queue.state(spec.id))?.state).toEqual({ ...running, progress: 0.25 });
      await queue.finish(run, endOf(run, time));
      // Not final before the ledger has said so.
      expect((await queue.state(spec.id))?.state).toEqual({ ...running, progress: 1 });
    });
  });
  return conformance;
}

import { describe, expect } from "vitest";
import type { JobSpec } from "../../shared/contracts/job.ts";
import type { JobSnapshot } from "../../regions/queue/queue-port.ts";
import {
  failing,
  jobSpec,
  LEASE_MS,
  PAUSE_MS,
  type Needing,
  type QueueBench,
} from "./queue-bench.ts";

/** What operators, other workers and clients see of the queue. */
export function queueOperations(bench: () => QueueBench, needing: Needing): void {
  const it = needing();
  async function failedJob(changes: Partial<JobSpec> = {}): Promise<JobSpec> {
    const { queue, claim, wait } = bench();
    const spec = jobSpec(changes);
    await queue.submit(spec);
    for (const pause of [PAUSE_MS, 2 * PAUSE_MS, 0]) {
      await queue.release(await claim(), failing);
      wait(pause);
    }
    return spec;
  }

  describe("keeps dead letters, so that", () => {
    it("a poison job can be looked into: why, when, by whom, and with what", async () => {
      const { queue } = bench();
      const spec = await failedJob({ metadata: { note: "ключ ✓" } });
      const { data, next } = await queue.deadLetters.list();
      expect(next).toBeUndefined();
      expect(data).toHaveLength(1);
      expect(await queue.deadLetters.get(data[0]!.id)).toEqual(data[0]);
      expect(data[0]).toMatchObject({
        jobId: spec.id,
        tenantId: spec.tenant_id,
        epoch: { dispatch: 1, attempt: 3 },
        code: "job_attempts_exhausted",
        reason: "no bucket",
        at: new Date(bench().now()).toISOString(),
      });
      expect(JSON.parse(data[0]!.spec)).toEqual(spec);
      expect(data[0]!.history).toMatchObject(
        [1, 2, 3].map((attempt) => ({
          attempt,
          how: "error",
          worker_id: "w1",
          reason: "no bucket",
        })),
      );
    });

    needing("reaper")("a job whose workers died tells which they were", async () => {
      const { queue, claim, wait } = bench();
      await queue.submit(jobSpec());
      await queue.release(await claim(), failing);
      wait(PAUSE_MS);
      for (let stall = 0; stall < 3; stall++) {
        await claim({ workerId: "w-dead" });
        wait(LEASE_MS);
        await queue.reap();
      }
      const [letter] = (await queue.deadLetters.list()).data;
      expect(letter).toMatchObject({
        epoch: { dispatch: 1, attempt: 4 },
        reason: "the worker stopped answering",
      });
      expect(
        letter!.history.map(({ attempt, how, worker_id }) => [attempt, how, worker_id]),
      ).toEqual([
        [1, "error", "w1"],
        [2, "stalled", "w-dead"],
        [3, "stalled", "w-dead"],
        [4, "stalled", "w-dead"],
      ]);
    });

    it("they are listed in pages, replayed once each, and discarded one by one or all", async () => {
      const { queue } = bench();
      const specs = [await failedJob(), await failedJob(), await failedJob()];
      const first = await queue.deadLetters.list({ limit: 2 });
      expect(first.data.map(({ jobId }) => jobId)).toEqual(specs.slice(0, 2).map(({ id }) => id));
      const second = await queue.deadLetters.list({ limit: 2, after: first.next! });
      expect(second.data.map(({ jobId }) => jobId)).toEqual([specs[2]!.id]);
      expect(second.next).toBeUndefined();

      const [one, two] = first.data;
      expect(await queue.deadLetters.markReplayed(one!.id, "job_a")).toBe("job_a");
      expect(await queue.deadLetters.markReplayed(one!.id, "job_b")).toBe("job_a");
      expect((await queue.deadLetters.get(one!.id))?.replayedAs).toBe("job_a");
      expect(await queue.deadLetters.discard([one!.id])).toBe(1);
      expect(await queue.deadLetters.discard([one!.id])).toBe(0);
      expect(await queue.deadLetters.get(one!.id)).toBeUndefined();
      expect(await queue.deadLetters.markReplayed(one!.id, "job_c")).toBeUndefined();
      expect(await queue.deadLetters.get(two!.id)).toMatchObject({ jobId: specs[1]!.id });
      expect(await queue.deadLetters.discard("all")).toBe(2);
      expect(await queue.load()).toMatchObject({ dead: 0 });
    });

    it("a job that is not what the contract says goes there with a failed offer, and the rest goes on", async () => {
      const { queue, claim, offers } = bench();
      const bad = {
        ...jobSpec({ residency: "eu", priority: "interactive" }),
        parts: "everything",
      };
      await queue.submit(bad as unknown as JobSpec);
      const good = jobSpec();
      await queue.submit(good);
      expect((await claim()).spec.id).toBe(good.id);
      expect(
        (await offers()).map(({ offer, envelope }) => [
          offer.job_id,
          offer.error?.code,
          envelope.job.residency,
        ]),
      ).toEqual([[bad.id, "internal", "eu"]]);
      const { data } = await queue.deadLetters.list();
      expect(data).toMatchObject([
        { jobId: bad.id, reason: "its specification could not be read" },
      ]);
      expect(await queue.load()).toMatchObject({ waiting: 0, running: 1, dead: 1 });
    });

    it("a job of a newer version is left to newer workers, and those behind it go on", async () => {
      const { queue, claim, claimAll } = bench();
      const newer = { ...jobSpec(), v: 2 } as unknown as JobSpec;
      await queue.submit(newer);
      const known = jobSpec();
      await queue.submit(known);
      expect((await claim()).spec.id).toBe(known.id);
      expect(await claimAll()).toEqual([]);
      const { waiting, delayed, dead } = await queue.load();
      expect({ waiting: waiting + delayed, dead }).toEqual({ waiting: 1, dead: 0 });
    });

    needing("state")(
      "any number of newer jobs hold up none of those behind them, and newer workers then take them first",
      async () => {
        const { queue, claim, claimAll } = bench();
        const tenant = { tenant: { max_concurrent: 2 } };
        const newer = Array.from({ length: 40 }, () => ({ ...jobSpec(), v: 2 }));
        const capped = Array.from({ length: 4 }, () => ({
          ...jobSpec({ tenant_id: "ten_capped", ...tenant }),
          v: 2,
        }));
        const known = [jobSpec(), jobSpec(), jobSpec({ tenant_id: "ten_capped", ...tenant })];
        for (const spec of [...newer, ...capped, ...known]) await queue.submit(spec as JobSpec);

        const first = await claimAll();
        expect(first.map(({ spec }) => spec.id).toSorted()).toEqual(known.map(({ id }) => id));
        expect(await queue.load()).toMatchObject({ waiting: 44, newer: 44, running: 3 });
        for (const one of [newer[1]!, capped[3]!]) {
          expect(await queue.cancel(one.id)).toBe("canceled");
        }
        expect(await queue.load()).toMatchObject({ waiting: 42, newer: 42 });

        const late = jobSpec();
        await queue.submit(late);
        // What they are is not known here either, so each ends as unreadable: that shows that it was taken, and before what came later.
        expect((await claim({ maxVersion: 2 })).spec.id).toBe(late.id);
        // The last of those behind their tenant's limit.
        expect(await claimAll({ maxVersion: 2 })).toEqual([]);
        const { data } = await queue.deadLetters.list({ limit: 100 });
        const canceled = [newer[1]!.id, capped[3]!.id];
        expect(data.map(({ jobId }) => jobId).toSorted()).toEqual(
          [...newer, ...capped].map(({ id }) => id).filter((id) => !canceled.includes(id)),
        );
        expect(await queue.load()).toMatchObject({ waiting: 0, newer: 0 });
      },
    );

    needing("state")(
      "a job that was left to newer workers is queued, in its old place",
      async () => {
        const { queue, claimAll } = bench();
        const newer = { ...jobSpec(), v: 2 } as unknown as JobSpec;
        await queue.submit(newer);
        expect(await claimAll()).toEqual([]);
        expect(await queue.state(newer.id)).toMatchObject({
          state: { status: "queued", epoch: { attempt: 0 }, queue_position: 0 },
        });
      },
    );
  });

  describe("tells, so that", () => {
    needing("state")(
      "who watches a job sees each state with a version that grows, up to the last",
      async () => {
        const { queue, claim, finish } = bench();
        const spec = jobSpec();
        await queue.submit(spec);
        const stop = new AbortController();
        const seen: JobSnapshot[] = [];
        const watching = (async () => {
          for await (const snapshot of queue.watch(spec.id, { signal: stop.signal })) {
            seen.push(snapshot);
            if (snapshot.state.progress === 1) break;
          }
        })();
        const last = async (status: string, progress?: number) =>
          expect
            .poll(() => seen.at(-1)?.state, { timeout: 10_000, interval: 5 })
            .toMatchObject({ status, ...(progress === undefined ? {} : { progress }) });
        await last("queued");
        const run = await claim();
        await last("running", 0);
        await queue.progress(run, 0.5);
        await last("running", 0.5);
        await finish(run);
        await watching;
        stop.abort();
        const versions = seen.map(({ version }) => version);
        expect(versions).toEqual(versions.toSorted((a, b) => a - b));
        expect(new Set(versions).size).toBe(versions.length);
        expect((await queue.state(spec.id))?.version).toBe(versions.at(-1));
      },
    );

    needing("state")(
      "a watcher that comes back with the version it knows hears of what is new alone",
      async () => {
        const { queue, claim } = bench();
        const spec = jobSpec();
        await queue.submit(spec);
        const known = (await queue.state(spec.id))!.version;
        const stop = new AbortController();
        const next = queue
          .watch(spec.id, { afterVersion: known, signal: stop.signal })
          [Symbol.asyncIterator]()
          .next();
        await claim();
        const { value } = await next;
        expect(value).toMatchObject({ state: { status: "running" } });
        expect(value!.version).toBeGreaterThan(known);
        stop.abort();
      },
    );

    needing("state")(
      "watching ends when it is aborted, and for a job that nobody knows",
      async () => {
        const { queue } = bench();
        const spec = jobSpec();
        for await (const _ of queue.watch(spec.id, { signal: AbortSignal.timeout(10_000) })) {
          throw new Error("there is nothing to see");
        }
        await queue.submit(spec);
        const stop = new AbortController();
        let states = 0;
        for await (const _ of queue.watch(spec.id, { signal: stop.signal })) {
          states++;
          stop.abort();
        }
        expect(states).toBe(1);
      },
    );

    needing("workers")(
      "reports of workers count until they are too old, by the queue's clock",
      async () => {
        const { queue, wait, now } = bench();
        const report = {
          v: 1,
          capacity: 2,
          active_jobs: 1,
          queued_compute_seconds: 12.5,
          speed: 1.5,
          draining: false,
        } as const;
        await queue.reportLoad({ ...report, worker_id: "w2", ttl_ms: 3000 });
        wait(1000);
        await queue.reportLoad({ ...report, worker_id: "w1", ttl_ms: 3000 });
        const first = now();
        wait(1999);
        expect(await queue.workers()).toEqual({
          nowMs: now(),
          workers: [
            { ...report, worker_id: "w1", ttl_ms: 3000, reported_at_ms: first },
            { ...report, worker_id: "w2", ttl_ms: 3000, reported_at_ms: first - 1000 },
          ],
        });
        wait(1);
        expect((await queue.workers()).workers.map(({ worker_id }) => worker_id)).toEqual(["w1"]);
      },
    );

    it("several are claimed at once, and no more than were asked for", async () => {
      const { queue, claimAll } = bench();
      for (let n = 0; n < 7; n++) await queue.submit(jobSpec());
      const signal = new AbortController().signal;
      const runs = await queue.claimMany({ workerId: "w1", signal, max: 5 });
      expect(runs).toHaveLength(5);
      expect(new Set([...runs, ...(await claimAll())].map(({ spec }) => spec.id)).size).toBe(7);
    });
  });
}

import { describe, expect } from "vitest";
import { CompletionOffer, OutboxEnvelope } from "../../shared/contracts/completion.ts";
import { failed } from "../../regions/queue/completion.ts";
import { StaleDispatchError } from "../../regions/queue/queue-port.ts";
import {
  failing,
  jobSpec,
  LEASE_MS,
  PAUSE_MS,
  REGION,
  type Needing,
  type QueueBench,
} from "./queue-bench.ts";

/** How jobs end that no worker brings to its end: by retries, deadlines, cancels, or before they began. */
export function queueEndings(bench: () => QueueBench, needing: Needing): void {
  const it = needing();
  const ends = async () =>
    (await bench().offers()).map(({ offer, envelope }) => {
      OutboxEnvelope.parse(envelope);
      return CompletionOffer.parse(offer);
    });
  const status = async (id: string) => (await bench().queue.state(id))?.state.status;
  const empty = { waiting: 0, running: 0, delayed: 0 };
  const after = (ms: number) => new Date(bench().now() + ms).toISOString();

  describe("tries again, so that", () => {
    it("a failed attempt comes back after a pause that doubles, and the last one ends the job", async () => {
      const { queue, claim, claimAll, wait } = bench();
      await queue.submit(jobSpec());
      for (const pause of [PAUSE_MS, 2 * PAUSE_MS]) {
        expect(await queue.release(await claim(), failing)).toBe("requeued");
        expect(await queue.load()).toMatchObject({ waiting: 0, delayed: 1 });
        wait(pause - 1);
        expect(await claimAll()).toEqual([]);
        wait(1);
      }
      const last = await claim();
      expect(last).toMatchObject({ triedBefore: 2, epoch: { attempt: 3 } });
      expect(await queue.release(last, failing)).toBe("failed");
      const [end, ...more] = await ends();
      expect(more).toEqual([]);
      expect(end).toMatchObject({
        status: "failed",
        epoch: { dispatch: 1, attempt: 3 },
        error: { code: "job_attempts_exhausted", retryable: true },
      });
      expect(end!.error!.detail).toContain("no bucket");
      expect(await queue.load()).toMatchObject({ ...empty, dead: 1 });
    });

    needing("state", "once")(
      "a job in the pause is queued, and one that failed is known, so that it is not run again",
      async () => {
        const { queue, claim } = bench();
        const spec = jobSpec();
        await queue.submit(spec);
        await queue.release(await claim(), failing);
        expect(await status(spec.id)).toBe("queued");
        bench().wait(PAUSE_MS);
        await queue.release(await claim(), { ...failing, retryable: false });
        expect(await queue.submit(spec)).toMatchObject({ duplicate: true });
      },
    );

    it("an error that another attempt cannot mend ends the job at once, with its own code", async () => {
      const { queue, claim } = bench();
      await queue.submit(jobSpec());
      const how = { ...failing, code: "not_available", retryable: false } as const;
      expect(await queue.release(await claim(), how)).toBe("failed");
      expect(await ends()).toMatchObject([
        { status: "failed", error: { code: "not_available", retryable: false } },
      ]);
    });

    it("a job that was tried again after an error has its stalls forgiven", async () => {
      const { queue, claim, claimAll, wait } = bench();
      const stall = async () => {
        const { epoch } = await claim();
        wait(LEASE_MS);
        await queue.reap();
        return epoch.attempt;
      };
      await queue.submit(jobSpec());
      expect([await stall(), await stall()]).toEqual([1, 2]);
      await queue.release(await claim(), failing);
      wait(PAUSE_MS);
      expect([await stall(), await stall(), await stall()]).toEqual([4, 5, 6]);
      expect(await claimAll()).toEqual([]);
      expect(await ends()).toMatchObject([{ status: "failed" }]);
    });

    it("a waiting worker gets a delayed job when it is due", async () => {
      const { queue, claim, wait } = bench();
      await queue.submit(jobSpec());
      await queue.release(await claim(), failing);
      const next = claim();
      wait(PAUSE_MS);
      expect((await next).epoch.attempt).toBe(2);
    });
  });

  describe("keeps to times, so that", () => {
    it("a job with a time to start is not begun before it", async () => {
      const { queue, claim, claimAll, wait } = bench();
      const spec = jobSpec({ not_before: after(60_000) });
      await queue.submit(spec);
      expect(await queue.load()).toMatchObject({ waiting: 0, delayed: 1 });
      wait(59_999);
      expect(await claimAll()).toEqual([]);
      wait(1);
      expect((await claim()).spec).toEqual(spec);
    });

    it("a job that waited past its deadline fails cleanly, and those behind it go on", async () => {
      const { queue, claim, wait } = bench();
      const late = Array.from({ length: 50 }, () => jobSpec({ deadline_at: after(1000) }));
      for (const spec of late) await queue.submit(spec);
      const good = jobSpec({ deadline_at: after(5000) });
      await queue.submit(good);
      wait(1000);
      const run = await claim();
      expect(run.spec.id).toBe(good.id);
      expect(run.deadlineInMs).toBe(4000);
      const ended = await ends();
      expect(new Set(ended.map(({ job_id }) => job_id))).toEqual(new Set(late.map(({ id }) => id)));
      expect(ended[0]).toMatchObject({
        status: "failed",
        epoch: { dispatch: 1, attempt: 1 },
        error: { code: "deadline_exceeded", retryable: true },
      });
      expect(await queue.load()).toMatchObject({ waiting: 0, running: 1, dead: 0 });
    });

    needing("reaper", "state")(
      "the reaper ends what waits, or waits to be tried again, past its deadline",
      async () => {
        const { queue, claim, wait } = bench();
        const waiting = jobSpec({ deadline_at: after(1000) });
        const delayed = jobSpec({ deadline_at: after(1000), priority: "interactive" });
        const started = jobSpec({
          deadline_at: after(1000),
          tenant_id: "ten_other",
          tenant: { vip: true },
        });
        await queue.submit(delayed);
        await queue.release(await claim(), failing);
        await queue.submit(started);
        const run = await claim();
        await queue.submit(waiting);
        wait(499);
        await queue.renew(run);
        expect(await queue.reap()).toEqual([]);
        wait(501);
        const reaped = await queue.reap();
        expect(reaped.map(({ outcome }) => outcome)).toEqual([
          "deadline_exceeded",
          "deadline_exceeded",
        ]);
        expect(new Set(reaped.map(({ jobId }) => jobId))).toEqual(
          new Set([waiting.id, delayed.id]),
        );
        // What runs its worker ends.
        expect(await status(started.id)).toBe("running");
        expect(await bench().finish(run)).toBe("offered");
        expect(await queue.reap()).toEqual([]);
      },
    );
  });

  describe("cancels, so that", () => {
    needing("cancel")("a waiting or delayed job ends at once, and never runs", async () => {
      const { queue, claimAll } = bench();
      const specs = [
        jobSpec(),
        jobSpec({ not_before: after(1000) }),
        jobSpec({ priority: "batch" }),
      ];
      for (const spec of specs) await queue.submit(spec);
      for (const { id } of specs) expect(await queue.cancel(id)).toBe("canceled");
      bench().wait(1000);
      expect(await claimAll()).toEqual([]);
      expect((await ends()).map(({ job_id, status: how, epoch }) => [job_id, how, epoch])).toEqual(
        specs.map(({ id }) => [id, "canceled", { dispatch: 1, attempt: 1 }]),
      );
      expect(await queue.load()).toMatchObject({ ...empty, dead: 0 });
      expect(await queue.cancel(specs[0]!.id)).toBe("too_late");
      expect(await queue.cancel(jobSpec().id)).toBe("unknown");
    });

    needing("cancel")(
      "the worker of a running job hears at once, and by its renewals, and ends it",
      async () => {
        const { queue, claim } = bench();
        await queue.submit(jobSpec());
        const run = await claim();
        const told = Promise.withResolvers<void>();
        const ignore = queue.onCancel(run.spec.id, () => told.resolve());
        let outcome = await queue.cancel(run.spec.id);
        // A listener that is not yet heard of by the server is told by the next.
        const again = setInterval(() => void queue.cancel(run.spec.id), 20);
        await told.promise;
        clearInterval(again);
        ignore();
        expect(outcome).toBe("canceling");
        expect(await queue.renew(run)).toMatchObject({ cancelRequested: true });
        expect(await bench().finish(run)).toBe("offered");
        outcome = await queue.cancel(run.spec.id);
        expect(outcome).toBe("too_late");
      },
    );

    needing("cancel")(
      "a run that is handed back, fails or stalls after a cancel ends as canceled",
      async () => {
        const { queue, claim, wait } = bench();
        for (const way of ["drain", "error", "stall"]) {
          const spec = jobSpec();
          await queue.submit(spec);
          const run = await claim();
          expect(await queue.cancel(spec.id)).toBe("canceling");
          if (way === "stall") {
            wait(LEASE_MS);
            expect(await queue.reap()).toMatchObject([{ outcome: "canceled" }]);
          } else {
            const how = way === "drain" ? ({ because: "drain" } as const) : failing;
            expect(await queue.release(run, how)).toBe("canceled");
          }
          expect((await ends()).at(-1)).toMatchObject({
            job_id: spec.id,
            status: "canceled",
            epoch: { dispatch: 1, attempt: 1 },
          });
        }
        expect(await queue.load()).toMatchObject({ ...empty, dead: 0 });
      },
    );

    it("a run that its worker stops for a cancel or a deadline ends so, if it still holds its lease", async () => {
      const { queue, claim, wait } = bench();
      for (const [because, how, code] of [
        ["cancel", "canceled", undefined],
        ["deadline", "deadline_exceeded", "deadline_exceeded"],
      ] as const) {
        await queue.submit(jobSpec({ deadline_at: after(10_000) }));
        const run = await claim();
        expect(await queue.release(run, { because })).toBe(how);
        expect((await ends()).at(-1)?.error?.code).toBe(code);
        await queue.submit(jobSpec());
        const late = await claim();
        wait(LEASE_MS);
        expect(await queue.release(late, { because })).toBe("fenced");
        await queue.reap();
        await bench().finish(await claim());
      }
      expect(await queue.load()).toMatchObject({ ...empty, dead: 0 });
    });

    needing("cancel", "once")(
      "a newer dispatch of a job that was to be canceled runs",
      async () => {
        const { queue, claim } = bench();
        const spec = jobSpec();
        await queue.submit(spec);
        await claim();
        await queue.cancel(spec.id);
        await queue.submit({ ...spec, dispatch: 2 });
        expect(await queue.renew(await claim())).toMatchObject({ cancelRequested: false });
      },
    );
  });

  describe("takes finished jobs, so that", () => {
    const complete = (run: Parameters<typeof failed>[0] | object) =>
      failed({
        ...(run as Parameters<typeof failed>[0]),
        region: REGION,
        finishedAtMs: bench().now(),
        code: "audio_empty",
      });

    it("a result that was known at accept is offered, and nothing waits", async () => {
      const { queue } = bench();
      const spec = jobSpec();
      expect(await queue.submitFinished(spec, complete)).toEqual({
        duplicate: false,
        queue_position: 0,
      });
      expect(await ends()).toMatchObject([{ job_id: spec.id, epoch: { dispatch: 1, attempt: 1 } }]);
      expect(await queue.load()).toMatchObject(empty);
    });

    needing("once", "state")(
      "a result that was known at accept is offered once for each dispatch",
      async () => {
        const { queue } = bench();
        const spec = jobSpec();
        expect(await queue.submitFinished(spec, complete)).toEqual({
          duplicate: false,
          queue_position: 0,
        });
        expect(await queue.submitFinished(spec, complete)).toMatchObject({ duplicate: true });
        expect(await queue.submit(spec)).toMatchObject({ duplicate: true });
        expect(await ends()).toMatchObject([
          { job_id: spec.id, epoch: { dispatch: 1, attempt: 1 } },
        ]);
        expect((await queue.state(spec.id))?.state).toMatchObject({
          status: "running",
          progress: 1,
        });
        expect(await queue.load()).toMatchObject(empty);
      },
    );

    needing("once")("it replaces older runs of the job, and gives way to newer ones", async () => {
      const { queue, claim, finish } = bench();
      const spec = jobSpec();
      await queue.submit(spec);
      const run = await claim();
      await queue.submitFinished({ ...spec, dispatch: 3 }, complete);
      expect(await finish(run)).toBe("fenced");
      await expect(queue.submitFinished({ ...spec, dispatch: 2 }, complete)).rejects.toThrow(
        StaleDispatchError,
      );
      expect((await ends()).map(({ epoch }) => epoch)).toEqual([{ dispatch: 3, attempt: 1 }]);
      expect(await queue.load()).toMatchObject(empty);
    });
  });
}

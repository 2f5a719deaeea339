import { describe, expect } from "vitest";
import type { JobSpec, Priority } from "../../shared/contracts/job.ts";
import { PASSES } from "../../regions/queue/queue-port.ts";
import { jobSpec, type Needing, type QueueBench } from "./queue-bench.ts";

/** Who goes first: between tenants, classes, and jobs that fit a worker or do not. Judged in jobs, never in seconds. */
export function queueFairness(bench: () => QueueBench, needing: Needing): void {
  const it = needing();
  describe("shares fairly, so that", () => {
    const submit = async (
      changes: Partial<JobSpec>,
      count = 1,
      estimateS?: number,
    ): Promise<JobSpec[]> => {
      const specs = Array.from({ length: count }, () => jobSpec(changes));
      const options = estimateS === undefined ? {} : { estimateS };
      await Promise.all(specs.map((spec) => bench().queue.submit(spec, options)));
      return specs;
    };
    /** Claims and ends one job after the other; settles to whose they were. */
    async function drain(jobs: number): Promise<string[]> {
      const { claim, finish } = bench();
      const order: string[] = [];
      for (let n = 0; n < jobs; n++) {
        const run = await claim();
        order.push(run.spec.tenant_id);
        await finish(run);
      }
      return order;
    }

    needing("tenants", "state")(
      "a tenant that floods 10,000 jobs delays another's single job by no more than a few jobs",
      async () => {
        await submit({ tenant_id: "ten_flood" }, 10_000);
        await drain(20);
        const [single] = await submit({ tenant_id: "ten_small" });
        expect((await bench().queue.state(single!.id))?.state.queue_position).toBeLessThanOrEqual(
          2,
        );
        expect((await drain(3)).indexOf("ten_small")).toBeGreaterThanOrEqual(0);
      },
      120_000,
    );

    needing("tenants")(
      "tenants get equal compute-seconds, however long their jobs are",
      async () => {
        await submit({ tenant_id: "ten_long" }, 40, 10);
        await submit({ tenant_id: "ten_short" }, 400, 1);
        const order = await drain(220);
        const long = order.filter((tenant) => tenant === "ten_long").length;
        expect(long).toBeGreaterThanOrEqual(19);
        expect(long).toBeLessThanOrEqual(21);
      },
    );

    needing("tenants")(
      "a tenant that comes back gains nothing by having been away between its jobs",
      async () => {
        await submit({ tenant_id: "ten_steady" }, 60, 1);
        const order: string[] = [];
        for (let n = 0; n < 40; n++) {
          // Never more than one of its long jobs waits.
          if (!(await bench().queue.load()).classes.standard.jobs) break;
          if (n === 0 || order.at(-1) === "ten_bursty") {
            await submit({ tenant_id: "ten_bursty" }, 1, 10);
          }
          order.push(...(await drain(1)));
        }
        expect(order.filter((tenant) => tenant === "ten_bursty").length).toBeLessThanOrEqual(5);
      },
    );

    needing("tenants", "cancel")(
      "a tenant's place is not won back by calling a job off",
      async () => {
        await submit({ tenant_id: "ten_a" }, 30, 1);
        const order: string[] = [];
        for (let n = 0; n < 20; n++) {
          const [first, second] = await submit({ tenant_id: "ten_b" }, 2, 10);
          order.push(...(await drain(1)));
          for (const { id } of [first!, second!]) await bench().queue.cancel(id);
        }
        expect(order.filter((tenant) => tenant === "ten_b").length).toBeLessThanOrEqual(3);
      },
    );

    needing("tenants")("many tenants take turns", async () => {
      const tenants = Array.from({ length: 40 }, (_, n) => `ten_t${n}`);
      for (const tenant_id of tenants) await submit({ tenant_id }, 3);
      const runs = await bench().claimAll({ max: 80 });
      const firstRound = new Set(runs.slice(0, 40).map(({ spec }) => spec.tenant_id));
      expect(firstRound.size).toBe(40);
      expect(new Set(runs.slice(40).map(({ spec }) => spec.tenant_id)).size).toBe(40);
    });

    it("VIP tenants go first within their class alone, and leave others a share", async () => {
      await submit({ tenant_id: "ten_plain" }, 40);
      await submit({ tenant_id: "ten_vip", tenant: { vip: true } }, 40);
      await submit({ tenant_id: "ten_urgent", priority: "interactive" }, 1);
      const order = await drain(33);
      expect(order[0]).toBe("ten_urgent");
      expect(order[1]).toBe("ten_vip");
      const plain = order.filter((tenant) => tenant === "ten_plain").length;
      expect(plain).toBeGreaterThanOrEqual(2);
      expect(plain).toBeLessThanOrEqual(8);
    });

    it("each class gets its guaranteed share while those above never end", async () => {
      await submit({ priority: "batch" }, 20);
      await submit({ priority: "standard" }, 20);
      await submit({ priority: "interactive" }, 200);
      const runs = await bench().claimAll({ max: 64 });
      const of = (priority: Priority) => runs.filter(({ spec }) => spec.priority === priority);
      expect(of("batch").length).toBe(4);
      expect(of("standard").length).toBe(8);
    });

    needing("tenants")(
      "a tenant at its limit holds no slot: others go on, and its next job starts when one ends",
      async () => {
        const capped = { tenant_id: "ten_capped", tenant: { max_concurrent: 2 } };
        await submit(capped, 10);
        await submit({ tenant_id: "ten_free" }, 3);
        const runs = await bench().claimAll();
        const tenants = runs.map(({ spec }) => spec.tenant_id);
        expect(tenants.filter((tenant) => tenant === "ten_capped")).toHaveLength(2);
        expect(tenants.filter((tenant) => tenant === "ten_free")).toHaveLength(3);
        expect(await bench().queue.load()).toMatchObject({ waiting: 8, running: 5 });
        // What more workers would not help with is no reason for more.
        bench().wait(500);
        expect((await bench().queue.load()).classes.standard).toMatchObject({ oldestWaitMs: 0 });
        const stop = new AbortController();
        const next = bench().queue.claim({ workerId: "w2", signal: stop.signal });
        await bench().finish(runs.find(({ spec }) => spec.tenant_id === "ten_capped")!);
        expect((await next)?.spec.tenant_id).toBe("ten_capped");
        expect(await bench().claimAll()).toEqual([]);
      },
    );

    needing("tenants")(
      "slots of a tenant at its limit come free by every way a run can end",
      async () => {
        const [spec] = await submit({ tenant_id: "ten_one", tenant: { max_concurrent: 1 } }, 4);
        const { queue, claim, claimAll, wait } = bench();
        const first = await claim();
        expect(first.spec.id).toBe(spec!.id);
        await queue.release(first, { because: "drain" });
        const second = await claim();
        expect(await claimAll()).toEqual([]);
        wait(1000);
        await queue.reap();
        const third = await claim();
        expect(third.spec.id).toBe(second.spec.id);
        expect(await claimAll()).toEqual([]);
        // A newer dispatch of what runs frees it too.
        await queue.submit({ ...third.spec, dispatch: 2 });
        expect(await claimAll()).toHaveLength(1);
        expect(await claimAll()).toEqual([]);
      },
    );

    needing("room")(
      "a worker with little room takes what fits, and an idle one anything",
      async () => {
        const [big] = await submit({ tenant_id: "ten_big" }, 1, 60);
        const [small] = await submit({ tenant_id: "ten_small" }, 1, 2);
        expect((await bench().claim({ maxEstimateS: 5 })).spec.id).toBe(small!.id);
        expect(await bench().claimAll({ maxEstimateS: 5 })).toEqual([]);
        const run = await bench().claim();
        expect(run.spec.id).toBe(big!.id);
        expect(run.estimateS).toBe(60);
      },
    );

    needing("room")(
      "a job that was passed over too often holds back those behind it until a worker with room comes",
      async () => {
        const [big] = await submit({ tenant_id: "ten_big" }, 1, 60);
        await submit({ tenant_id: "ten_small" }, PASSES.most + 5, 1);
        let passed = 0;
        while ((await bench().claimAll({ maxEstimateS: 5, max: 1 })).length === 1) passed++;
        expect(passed).toBe(PASSES.most);
        expect((await bench().claim()).spec.id).toBe(big!.id);
        expect(await bench().claimAll({ maxEstimateS: 5 })).toHaveLength(5);
      },
    );

    needing("room")(
      "a job that was passed over for too long holds back those behind it",
      async () => {
        await submit({ tenant_id: "ten_big" }, 1, 60);
        await submit({ tenant_id: "ten_small" }, 3, 1);
        await bench().claim({ maxEstimateS: 5 });
        bench().wait(PASSES.forMs);
        expect(await bench().claimAll({ maxEstimateS: 5 })).toEqual([]);
      },
    );

    it("what waits is counted by class, in jobs", async () => {
      await submit({ priority: "interactive" });
      await submit({ tenant_id: "ten_other", priority: "interactive" }, 2);
      await submit({ priority: "batch", tenant: { vip: true } });
      expect(await bench().queue.load()).toMatchObject({
        waiting: 4,
        running: 0,
        delayed: 0,
        dead: 0,
        classes: { interactive: { jobs: 3 }, standard: { jobs: 0 }, batch: { jobs: 1 } },
      });
    });

    needing("figures")(
      "what waits is counted by class, in jobs, compute-seconds and the oldest wait",
      async () => {
        await submit({ priority: "interactive" }, 1, 2.5);
        bench().wait(700);
        await submit({ tenant_id: "ten_other", priority: "interactive" }, 2, 4);
        await submit({ priority: "batch", tenant: { vip: true } }, 1, 100);
        expect(await bench().queue.load()).toEqual({
          waiting: 4,
          computeS: 110.5,
          running: 0,
          delayed: 0,
          dead: 0,
          newer: 0,
          classes: {
            interactive: { jobs: 3, computeS: 10.5, oldestWaitMs: 700 },
            standard: { jobs: 0, computeS: 0, oldestWaitMs: 0 },
            batch: { jobs: 1, computeS: 100, oldestWaitMs: 0 },
          },
        });
      },
    );
  });
}

import { evictDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { createDispatchJob } from "../../edge/forward/dispatch-job.ts";
import { createRetryBudget } from "../../edge/forward/retry-budget.ts";
import type { LedgerClient } from "../../edge/ledger/ledger-client.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { ring } from "./support/failover.ts";
import { newTenant, startEdge } from "./support/start-edge.ts";

/**
 * Everything between the reservation and the final state that may break: each call to the ledger and to a region, before it had its
 * effect or after. The Worker is gone then; alarms and regions go on alone.
 */
describe("a crash at any step", () => {
  const steps = ["reserve", "submit", "newDispatch", "submit again", "accept"] as const;
  const cases = steps.flatMap((step) => [
    { step, when: "before" as const },
    { step, when: "after" as const },
  ]);

  test.each(cases)(
    "$when $step leaves one job with one final state, or none",
    async ({ step, when }) => {
      const { services, regions } = startEdge();
      /** Highest dispatch that each region holds, as its queue would. */
      const held = new Map<string, number>();
      let submits = 0;
      let broken = false;
      const breaks = (at: string, phase: "before" | "after") => {
        if (broken || at !== step || phase !== when) return;
        broken = true;
        throw new Error("the Worker died");
      };
      const dead = () => broken && crashed;
      let crashed = true;
      regions.on("POST /internal/jobs", ({ region, body }) => {
        const name = submits++ === 0 ? "submit" : "submit again";
        const dispatch = Number(body["dispatch"]);
        // The first region never takes a job in time, so that there is a second dispatch.
        if (name === "submit") {
          breaks(name, "before");
          if (step === "submit") {
            held.set(region, dispatch);
            breaks(name, "after");
          }
          throw new ApiError("system_busy");
        }
        if (!dead()) breaks(name, "before");
        held.set(region, Math.max(held.get(region) ?? 0, dispatch));
        if (!dead()) breaks(name, "after");
        return { job_id: body["id"], dispatch, duplicate: false, queue_position: 0 };
      });
      regions.refuse("GET /internal/jobs/{id}", "job_not_found");

      const wrapped = new Proxy(services.ledger, {
        get:
          (target, name: keyof LedgerClient) =>
          async (...args: unknown[]) => {
            if (dead()) throw new Error("the Worker is dead");
            breaks(name, "before");
            const value = await (target[name] as (...all: unknown[]) => Promise<unknown>)(...args);
            breaks(name, "after");
            return value;
          },
      });
      const callRegion: typeof services.callRegion = async (region, call) => {
        if (dead()) throw new Error("the Worker is dead");
        const outcome = await services.callRegion(region, call);
        if (dead()) throw new Error("the Worker died");
        return outcome;
      };
      const dispatch = createDispatchJob(wrapped, callRegion, createRetryBudget());
      const draft = draftOf(newTenant());
      const candidates = ["us-east", "eu-west"].map((id) => findRegion(id)!);
      const trace = { requestId: "req_test", traceparent: "" };
      await expect(dispatch(draft, candidates, trace)).rejects.toThrow();
      expect(broken).toBe(true);
      crashed = false;

      const shard = shardOf(draft);
      // Evicting needs an object that has run.
      await shard.status(draft.id);
      await evictDurableObject(shard);
      for (let i = 1; i <= 3; i++) await ring(shard, { afterMs: i * 31_000 });
      const verdicts: string[] = [];
      for (let i = 0; i < 2; i++) {
        for (const [region, held_dispatch] of held) {
          const offer = offerOf(draft, { dispatch: held_dispatch, attempt: 1 }, { region });
          verdicts.push(`${region} ${(await shard.complete([offer]))[0]!}`);
        }
      }
      const job = await shard.status(draft.id);
      if (step === "reserve" && when === "before") expect(job).toBeNull();
      else {
        expect(job).toMatchObject({ state: "final" });
        const winners = new Set(verdicts.filter((verdict) => verdict.endsWith("accepted")));
        expect([...winners]).toEqual([`${job!.offer!.region} accepted`]);
      }
    },
  );
});

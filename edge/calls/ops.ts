import { objectMetrics } from "../ops/metrics.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** What monitors and load balancers ask of the edge. */
export function opsCalls({ metrics, regionStatus }: EdgeServices) {
  return {
    alive: (): Response => json({ status: "ok" }),

    /** Ready when at least one region is. */
    ready: async (): Promise<Response> => {
      const regions = await regionStatus();
      const ready = regions.some(({ healthy }) => healthy);
      const checks = Object.fromEntries(
        regions.map(({ id, healthy }) => [id, healthy ? "ok" : "failed"]),
      );
      return json({ status: ready ? "ready" : "not_ready", checks }, ready ? 200 : 503);
    },

    metrics: (): Response =>
      new Response(metrics.render() + objectMetrics.render(), {
        headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
      }),

    regions: async (): Promise<Response> => json({ data: await regionStatus() }),
  };
}

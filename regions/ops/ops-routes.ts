import { Hono } from "hono";
import type { Readiness } from "../../shared/contracts/api.ts";
import type { Metrics } from "./metrics.ts";

export interface OpsRoutesOptions {
  metrics: Metrics;
  /** See createReadiness. */
  readiness: () => Promise<Readiness>;
}

/** `/healthz` (the process lives), `/readyz` (it can serve: 200, else 503) and `/metrics`, to mount or to serve alone. */
export function createOpsRoutes({ metrics, readiness }: OpsRoutesOptions): Hono {
  return new Hono()
    .get("/healthz", (c) => c.text("ok\n"))
    .get("/readyz", async (c) => {
      const answer = await readiness();
      c.header("cache-control", "no-store");
      return c.json(answer, answer.status === "ready" ? 200 : 503);
    })
    .get("/metrics", async (c) =>
      c.body(await metrics.render(), 200, {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
      }),
    );
}

import { Hono } from "hono";
import { RegionLoad } from "../../shared/contracts/load-report.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { aggregateLoad } from "../../shared/policies/region-load.ts";
import type { Queue } from "../queue/queue-port.ts";
import type { ApiEnv } from "./api-context.ts";

export interface LoadRoutesParts {
  region: Region;
  queue: Pick<Queue, "load" | "workers">;
}

/** `/internal/load`: what waits and runs in this region, and how long a job that comes now would wait; the edge routes by it. */
export function createLoadRoutes({ region, queue }: LoadRoutesParts): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get("/internal/load", async (c) => {
    const [load, { nowMs, workers }] = await Promise.all([queue.load(), queue.workers()]).catch(
      (cause: unknown) => {
        throw new ApiError("dependency_unavailable", "The queue is away.", { cause });
      },
    );
    const report = aggregateLoad({ region: region.id, nowMs, workers, waiting: load.classes });
    return c.json(RegionLoad.parse(report));
  });
}

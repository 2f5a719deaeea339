import { Hono } from "hono";
import { DeletionOrder, DeletionState } from "../../shared/contracts/deletions.ts";
import { isPermitted, type Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { DeletionOrders } from "../results/deletion-orders.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";

export interface DeletionRoutesParts {
  region: Region;
  deletionOrders: Pick<DeletionOrders, "take">;
}

/** `POST /internal/deletions`: takes an order to delete, once, and tells how far it is; the keeper carries it out. */
export function createDeletionRoutes({
  region,
  deletionOrders,
}: DeletionRoutesParts): Hono<ApiEnv> {
  return new Hono<ApiEnv>().post("/internal/deletions", async (c) => {
    const order = parseBody(c, DeletionOrder);
    if (!isPermitted(order.residency, region)) {
      throw new ApiError("region_unavailable", `${region.id} holds nothing of ${order.residency}.`);
    }
    const state = await deletionOrders.take(order).catch((cause: unknown) => {
      throw new ApiError("dependency_unavailable", "Redis is away.", { cause });
    });
    return c.json(DeletionState.parse(state));
  });
}

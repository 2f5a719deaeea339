import { Hono } from "hono";
import type { ModelList } from "../../shared/contracts/models.ts";
import type { ApiEnv } from "./api-context.ts";

export interface ModelRoutesParts {
  /** What runs here, as it lies on the disk now. */
  models(): ModelList;
}

/** `GET /internal/models`. */
export function createModelRoutes({ models }: ModelRoutesParts): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get("/internal/models", (c) => c.json(models()));
}

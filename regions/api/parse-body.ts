import type { Context } from "hono";
import type { z } from "zod";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import type { ApiEnv } from "./api-context.ts";

/**
 * The signed body, by its schema.
 * @throws ApiError malformed_json | invalid_request
 */
export function parseBody<T extends z.ZodType>(c: Context<ApiEnv>, schema: T): z.output<T> {
  let json: unknown;
  try {
    json = JSON.parse(c.get("body"));
  } catch {
    throw new ApiError("malformed_json");
  }
  return parseRequest(schema, json);
}

import { createMiddleware } from "hono/factory";
import { readToken, withConsistency, writeToken } from "../store/consistency.ts";
import type { ApiEnv } from "./api-context.ts";

export const CONSISTENCY_HEADER = "x-antiphon-consistency";

/** Reads see what the token of an earlier answer stands for, and an answer to a write carries one. */
export const keepConsistency = createMiddleware<ApiEnv>(async (c, next) => {
  const given = c.req.header(CONSISTENCY_HEADER);
  const after = given === undefined ? undefined : readToken(given);
  const wrote = await withConsistency(after, next);
  if (wrote) c.res.headers.set(CONSISTENCY_HEADER, writeToken(wrote));
});

import type { z } from "zod";
import { checkRange, dayOf } from "../../shared/contracts/day-range.ts";
import type { ReadUsage, ReadUserHistory } from "../../shared/contracts/internal-api.ts";
import { UserId } from "../../shared/contracts/job.ts";
import { GetUsage, UsageReport } from "../../shared/contracts/usage.ts";
import { GetUserHistory, UserHistory } from "../../shared/contracts/user-history.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

const TIMEOUT_MS = 5_000;
/** Days of a range of which only one end, or none, was given. */
const DEFAULT_DAYS = 30;

interface Range {
  from?: string | undefined;
  to?: string | undefined;
}

/** @throws ApiError invalid_request when it runs backwards, or too far */
function wholeRange({ from, to }: Range, now: number): { from: string; to: string } {
  const last = to ?? dayOf(now);
  const first = from ?? dayOf(Date.parse(last), 1 - DEFAULT_DAYS);
  const range = { from: first, to: last };
  const fault = checkRange(range);
  if (fault !== undefined) {
    throw new ApiError("invalid_request", "The range of days is not valid.", {
      errors: [{ path: "from", message: fault }],
    });
  }
  return range;
}

/** `GET /v1/usage`: the tenant's usage by day and stage, from the nearest region's replica. */
export function getUsage({ router, readRegions }: EdgeServices, now: () => number = Date.now) {
  return async (c: EdgeContext): Promise<Response> => {
    const { from, to, ...page } = parseRequest(GetUsage, c.req.query());
    const { key } = c.get("caller");
    const body: z.input<typeof ReadUsage> = {
      tenant_id: key.tenant_id,
      ...wholeRange({ from, to }, now()),
      ...page,
    };
    // Figures are no content: any region may tell them.
    const report = await readRegions(router.nearest(c.req.raw), {
      method: "POST",
      target: "/internal/usage/read",
      body,
      answer: UsageReport,
      timeoutMs: TIMEOUT_MS,
      trace: traceOf(c),
    });
    return json(report);
  };
}

/** `GET /v1/users/{user_id}/analyses`: one end user's history, from the nearest region's replica. */
export function getUserHistory(
  { router, readRegions }: EdgeServices,
  now: () => number = Date.now,
) {
  return async (c: EdgeContext): Promise<Response> => {
    const userId = parseRequest(UserId, c.req.param("user_id"));
    const { from, to, features = [], ...page } = parseRequest(GetUserHistory, c.req.query());
    const { key } = c.get("caller");
    const range = wholeRange({ from, to }, now());
    if (key.residency !== "global") {
      // An end user's id is content, and the database that could list by it replicates everywhere.
      throw new ApiError(
        "not_available",
        `History by end user is kept for tenants without a residency; this one is bound to ${key.residency}, and its user ids stay out of the database. Keep job ids by user on your side, and read each job.`,
      );
    }
    const body: z.input<typeof ReadUserHistory> = {
      tenant_id: key.tenant_id,
      user_id: userId,
      ...range,
      features,
      ...page,
    };
    const candidates = router.candidates({ request: c.req.raw, residency: key.residency });
    const history = await readRegions(candidates, {
      method: "POST",
      target: "/internal/users/analyses",
      body,
      answer: UserHistory,
      timeoutMs: TIMEOUT_MS,
      trace: traceOf(c),
    });
    return json(history);
  };
}

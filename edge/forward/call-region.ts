import type { z } from "zod";
import type { Region } from "../../shared/contracts/regions.ts";
import type { ErrorCode } from "../../shared/errors/catalogue.ts";
import { ApiError, Problem } from "../../shared/errors/problem.ts";
import { readText } from "../admit/read-body.ts";
import type { Trace } from "../context.ts";
import type { EdgeConfig } from "../env.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { RegionHealth } from "../route/region-health.ts";
import { reportRegionCall } from "./report-region-call.ts";
import { signRegionRequest } from "./sign-region-request.ts";

/** Results of long recordings are the largest thing a region answers with. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

export interface RegionCall<T extends z.ZodType> {
  method: "GET" | "POST";
  /** Path and query. */
  target: string;
  body?: unknown;
  /** What a success answers with. */
  answer: T;
  timeoutMs: number;
  /** Another region can be asked: this one is given up once the probes no longer reach it, as if its time were over. */
  mayLeave?: boolean;
  trace?: Trace | undefined;
}

/**
 * `refused`: the region decided against it; the caller's fault, to be passed on.
 * `unavailable`: nothing came of it (no connection, not ready, busy, or the link is misconfigured).
 * `unclear`: it may or may not have been done (timeout, a fault while answering).
 */
export type RegionOutcome<T> = { kind: "done"; value: T } | RegionFailure;
export interface RegionFailure {
  kind: "refused" | "unavailable" | "unclear";
  error: ApiError;
}

export type CallRegion = <T extends z.ZodType>(
  region: Region,
  call: RegionCall<T>,
) => Promise<RegionOutcome<z.output<T>>>;

export interface CallRegionParts {
  config: EdgeConfig;
  health?: RegionHealth;
  metrics?: Metrics;
}

/** How often a call that may leave its region looks whether it should. */
const LOOK_EVERY_MS = 100;
/** Codes that tell of our own link, never of the client's request. */
const LINK_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "unsigned_request",
  "invalid_signature",
  "replayed_request",
  "unauthenticated",
  "method_not_allowed",
]);
/** Answers after which nothing was done: our region's gate, or Cloudflare saying that it could not connect. */
const NOTHING_DONE: ReadonlySet<number> = new Set([429, 503, 521, 522, 523, 525, 526, 530]);

/** Signed calls to regions, each under a timeout; never throws for what the region does. */
export function createCallRegion({ config, health, metrics }: CallRegionParts): CallRegion {
  /** When a call is given up: after its time, or with its region. One that was ejected before is tried all the same. */
  function limitOf(regionId: string, { timeoutMs, mayLeave }: RegionCall<z.ZodType>) {
    const late = AbortSignal.timeout(timeoutMs);
    if (!mayLeave || !health || health.isEjected(regionId)) {
      return { signal: late, clear: () => undefined };
    }
    const ejected = new AbortController();
    const looking = setInterval(() => {
      if (!health.isEjected(regionId)) return;
      ejected.abort(new DOMException("the region was ejected meanwhile", "TimeoutError"));
    }, LOOK_EVERY_MS);
    const signal = AbortSignal.any([late, ejected.signal]);
    return { signal, clear: () => clearInterval(looking) };
  }

  async function send<T extends z.ZodType>(
    region: Region,
    call: RegionCall<T>,
  ): Promise<RegionOutcome<z.output<T>>> {
    const signed = await signRegionRequest(config, region, { ...call, accept: "application/json" });
    if (!signed) return { kind: "unavailable", error: new ApiError("region_unavailable") };
    let response: Response;
    let text: string;
    health?.began(region.id);
    const limit = limitOf(region.id, call);
    try {
      response = await fetch(signed.url, { ...signed.init, signal: limit.signal });
      text = await readText(response, MAX_ANSWER_BYTES);
    } catch (cause) {
      health?.failed(region.id);
      const timedOut = cause instanceof Error && /^(Timeout|Abort)Error$/.test(cause.name);
      // A lost connection cannot be told from one that never was. Calling it "nothing done" is safe: the
      // dispatch is revoked in the ledger, so a run that did begin leaves no trace.
      const kind = timedOut ? "unclear" : "unavailable";
      return { kind, error: new ApiError("region_unavailable", undefined, { cause }) };
    } finally {
      limit.clear();
    }
    health?.answered(region.id);
    if (response.ok) {
      const consistency = response.headers.get("x-antiphon-consistency");
      if (consistency !== null) call.trace?.wrote?.(consistency);
      const value = call.answer.safeParse(tryJson(text));
      if (value.success) return { kind: "done", value: value.data };
      const cause = new Error(`${call.target.split("?")[0]} answered out of contract`, {
        cause: value.error,
      });
      return {
        kind: "unclear",
        error: new ApiError("dependency_unavailable", undefined, { cause }),
      };
    }
    return regionFailure(response.status, text);
  }

  return async (region, call) => {
    const outcome = await send(region, call);
    reportRegionCall(metrics, region, call, outcome);
    return outcome;
  };
}

/** What a region's answer means that is no success. */
export function regionFailure(status: number, text: string): RegionFailure {
  const problem = Problem.safeParse(tryJson(text));
  const code = problem.success ? problem.data.code : undefined;
  const cause = new Error(`the region answered ${status}${code ? ` (${code})` : ""}`);
  if (problem.success && status === 429) {
    return { kind: "unavailable", error: new ApiError(problem.data.code, problem.data.detail) };
  }
  if (NOTHING_DONE.has(status) || (code && LINK_CODES.has(code)) || (status < 500 && !code)) {
    return { kind: "unavailable", error: new ApiError("region_unavailable", undefined, { cause }) };
  }
  if (status < 500 && problem.success) {
    const { detail, errors } = problem.data;
    return {
      kind: "refused",
      error: new ApiError(problem.data.code, detail, { cause, ...(errors ? { errors } : {}) }),
    };
  }
  return { kind: "unclear", error: new ApiError("dependency_unavailable", undefined, { cause }) };
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

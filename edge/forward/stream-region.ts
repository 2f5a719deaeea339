import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { readText } from "../admit/read-body.ts";
import type { Trace } from "../context.ts";
import { regionFailure, type CallRegionParts, type RegionFailure } from "./call-region.ts";
import { reportRegionCall } from "./report-region-call.ts";
import { signRegionRequest } from "./sign-region-request.ts";

const MAX_PROBLEM_BYTES = 64 * 1024;

export interface StreamCall {
  /** Path and query. */
  target: string;
  body: unknown;
  /** To the first byte; the stream itself may take its time. */
  timeoutMs: number;
  trace: Trace;
  /** The client's: who leaves is answered by nobody. */
  signal: AbortSignal;
}

/** A success, its body not yet read. */
export type StreamOutcome = { kind: "done"; response: Response } | RegionFailure;
export type StreamRegion = (region: Region, call: StreamCall) => Promise<StreamOutcome>;

/** Signed POSTs whose answers are passed on as they come; never throws for what the region does. */
export function createStreamRegion({ config, health, metrics }: CallRegionParts): StreamRegion {
  async function send(region: Region, call: StreamCall): Promise<StreamOutcome> {
    const signed = await signRegionRequest(config, region, {
      ...call,
      method: "POST",
      accept: "*/*",
    });
    if (!signed) return { kind: "unavailable", error: new ApiError("region_unavailable") };
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), call.timeoutMs);
    try {
      const signal = AbortSignal.any([late.signal, call.signal]);
      const response = await fetch(signed.url, { ...signed.init, signal });
      health?.answered(region.id);
      if (response.ok) return { kind: "done", response };
      return regionFailure(response.status, await readText(response, MAX_PROBLEM_BYTES));
    } catch (cause) {
      if (!call.signal.aborted) health?.failed(region.id);
      return {
        kind: "unavailable",
        error: new ApiError("region_unavailable", undefined, { cause }),
      };
    } finally {
      clearTimeout(timer);
    }
  }

  return async (region, call) => {
    const outcome = await send(region, call);
    reportRegionCall(metrics, region, call, outcome);
    return outcome;
  };
}

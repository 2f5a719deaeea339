import type { z } from "zod";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Trace } from "../context.ts";
import type { CallRegion } from "../forward/call-region.ts";

const LOOKUP_TIMEOUT_MS = 2_000;

/**
 * Looks a record up in one region after another. "There is none" takes two of them: one replica may lag behind a record that
 * is seconds old. The consistency token of a caller who is not known yet goes with none: a made-up one would cost waits and the primary.
 * @throws ApiError dependency_unavailable when none answers
 */
export async function askRegions<T extends z.ZodType, R>(
  callRegion: CallRegion,
  candidates: readonly Region[],
  call: { target: string; body: unknown; answer: T; trace: Trace },
  recordOf: (answer: z.output<T>) => R | null,
): Promise<R | null> {
  let denials = 0;
  let last: unknown;
  for (const region of candidates) {
    const outcome = await callRegion(region, {
      method: "POST",
      timeoutMs: LOOKUP_TIMEOUT_MS,
      ...call,
      trace: { ...call.trace, consistency: undefined },
    });
    if (outcome.kind !== "done") {
      last = outcome.error;
      continue;
    }
    const record = recordOf(outcome.value);
    if (record !== null) return record;
    if (++denials === 2) return null;
  }
  if (denials > 0) return null;
  throw new ApiError("dependency_unavailable", "The caller cannot be checked now.", {
    cause: last,
  });
}

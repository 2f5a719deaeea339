import type { Routed } from "./watch-routing.ts";

/** How a region that was away got its requests again. Shares are of one client's requests, in [0, 1]. */
export interface Return {
  /** Its share just before the fault. */
  before: number;
  /**
   * When it was back, by the drill's clock: when clients were told that it is healthy, or it was given a request. Undefined when it was
   * given none.
   */
  backMs?: number;
  /** Its share in each `STEP_MS` from then on. */
  steps: number[];
  /** From then until it had what it had before, seconds; undefined when that was not seen. */
  slowStartS?: number;
}

export const STEP_MS = 5_000;
/** Less than this of the requests says nothing of how they come back. */
const ENOUGH = 0.5;
/** Its share counts as what it was from nine tenths of it on, over a stretch in which chance is small. */
const AGAIN = 0.9;
const STRETCH_MS = 4_000;

/**
 * How a region's share of the requests grew after the fault. Nothing where it had too small a share before, or kept it during the fault.
 * Pure.
 */
export function judgeReturn(
  routed: readonly Routed[],
  region: string,
  {
    faultMs,
    healedMs,
    healthyMs = Number.POSITIVE_INFINITY,
    untilMs,
  }: { faultMs: number; healedMs: number; healthyMs?: number | undefined; untilMs: number },
): Return | undefined {
  const between = (from: number, until: number) =>
    routed.filter(({ atMs }) => atMs >= from && atMs < until);
  const shareIn = (from: number, until: number): number | undefined => {
    const those = between(from, until);
    if (those.length === 0) return undefined;
    return those.filter((one) => one.region === region).length / those.length;
  };
  const before = shareIn(faultMs - STRETCH_MS, faultMs) ?? 0;
  const last = shareIn(healedMs - STRETCH_MS, healedMs) ?? 0;
  if (before < ENOUGH || last > before / 2) return undefined;

  const firstMs = between(healedMs, untilMs).find((one) => one.region === region)?.atMs;
  if (firstMs === undefined) return { before, steps: [] };
  const backMs = Math.min(firstMs, Math.max(healthyMs, healedMs));
  const steps: number[] = [];
  for (let from = backMs; from + STEP_MS <= untilMs; from += STEP_MS) {
    steps.push(shareIn(from, from + STEP_MS) ?? 0);
  }
  let again: number | undefined;
  for (const { atMs } of between(backMs, untilMs - STRETCH_MS)) {
    if ((shareIn(atMs, atMs + STRETCH_MS) ?? 0) < AGAIN * before) continue;
    again = atMs;
    break;
  }
  return {
    before,
    backMs,
    steps,
    ...(again === undefined ? {} : { slowStartS: (again - backMs) / 1000 }),
  };
}

/** The same as one line. */
export function tellReturn(region: string, it: Return | undefined): string {
  if (it === undefined) {
    return `what ${region} takes after its return cannot be seen here: it did not have most of these clients' requests before, or kept them`;
  }
  if (it.backMs === undefined) return `${region} was given no request again while the load lasted`;
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const whole =
    it.slowStartS === undefined
      ? "not all of them again while the load lasted"
      : `as many as before after ${it.slowStartS.toFixed(0)} s`;
  return `of these clients' requests ${region} took ${it.steps.map(percent).join(", ")} in each ${STEP_MS / 1000} s from its return on (before the fault ${percent(it.before)}): ${whole}`;
}

import { Readiness } from "../../shared/contracts/api.ts";

const PATIENCE_MS = 2_000;

/** A readiness probe: true when a GET of the URL answers 2xx within two seconds. */
export function answers(url: string): (signal: AbortSignal) => Promise<boolean> {
  return async (signal) => {
    const response = await fetch(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
    await response.body?.cancel();
    return response.ok;
  };
}

/** As `answers`, for /readyz: while the service is not ready, throws an error that names what it waits for. */
export function saysReady(name: string, url: string): (signal: AbortSignal) => Promise<boolean> {
  return async (signal) => {
    const response = await fetch(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
    const told = Readiness.safeParse(await response.json());
    if (response.ok || !told.success) return response.ok;
    const waiting = Object.entries(told.data.checks).filter(([, outcome]) => outcome !== "ok");
    throw new Error(`${name} waits for: ${waiting.map(([check]) => check).join(", ")}`);
  };
}

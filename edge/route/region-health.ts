import type { Priority } from "../../shared/contracts/job.ts";
import {
  isEjected,
  isSlow,
  probesOf,
  trustedViews,
  type VantageView,
} from "../../shared/policies/region-verdict.ts";
import { UNKNOWN_REGION, type RegionView } from "../../shared/policies/route.ts";

/** How long a region is passed over after its first failure; twice as long after each further one. */
const PASS_OVER_MS = 1_000;
const PASS_OVER_MAX_MS = 15_000;
/** One that was passed over for so long takes its requests again step by step, as one does that the probes saw come back. */
const AWAY_MS = 4_000;
/** How long a region that is tried again has to answer before another request may try it. */
const TRIAL_MS = 5_000;
/** Latest answers by which the time is told that 95 of 100 stay below. */
const SAMPLES = 64;
const SAMPLES_NEEDED = 10;

export interface RegionHealth {
  isHealthy(regionId: string): boolean;
  /** The probes cannot reach it. */
  isEjected(regionId: string): boolean;
  /** Neither this isolate nor the probes can reach it: to try it would be to wait for nothing. */
  isHopeless(regionId: string): boolean;
  /** All that routing goes by; `vantage` is the one next to the client, whose measure of the way counts. */
  view(regionId: string, vantage?: string, priority?: Priority): RegionView;
  /** A request is about to go there. */
  began(regionId: string): void;
  /** It answered, whatever it said. */
  answered(regionId: string): void;
  failed(regionId: string): void;
  /** Within this many milliseconds 95 of 100 reads are answered; undefined until enough is known. */
  usualReadMs(regionId: string): number | undefined;
  readTook(regionId: string, ms: number): void;
  /** Takes what the vantages saw, as of `atMs`. */
  learn(views: readonly VantageView[], atMs: number): void;
}

interface Circuit {
  failures: number;
  since: number;
  openUntil: number;
  trialUntil: number;
}

/**
 * Health of the regions as one isolate sees it. Its own calls: each failure in a row opens the region's circuit for longer; then one
 * request tries it (half-open), and an answer closes it. And what the probers saw from several places, while that is fresh. A wrong
 * guess only means a longer way, so it needs no agreement between isolates.
 */
export function createRegionHealth(now: () => number = Date.now): RegionHealth {
  const circuits = new Map<string, Circuit>();
  /** When a region that had been passed over could be used again. */
  const backAt = new Map<string, number>();
  const reads = new Map<string, number[]>();
  let known: readonly VantageView[] = [];
  let knownAt = 0;

  /** The views as old as they are by now, those left out that nobody should believe. */
  function trusted(): VantageView[] {
    const since = now() - knownAt;
    return trustedViews(known.map((view) => ({ ...view, ageMs: view.ageMs + since })));
  }

  function isOpen(regionId: string): boolean {
    const circuit = circuits.get(regionId);
    return circuit !== undefined && Math.max(circuit.openUntil, circuit.trialUntil) > now();
  }

  function view(regionId: string, vantage?: string, priority: Priority = "standard"): RegionView {
    const views = trusted();
    const probes = probesOf(views, regionId);
    const nearest = views.filter((each) => each.vantage === vantage);
    const [probe = probes[0]] = probesOf(nearest, regionId);
    const own = backAt.get(regionId);
    const ownBacks = own === undefined ? [] : [now() - own];
    if (!probe) {
      const [backForMs = null] = ownBacks;
      return { ...UNKNOWN_REGION, healthy: !isOpen(regionId), backForMs };
    }
    const waits = probes.find((each) => each.waits)?.waits;
    const since = now() - knownAt;
    const seenBacks = probes.flatMap(({ backForMs }) =>
      backForMs === null ? [] : [backForMs + since],
    );
    const backs = [...seenBacks, ...ownBacks];
    return {
      healthy: !isOpen(regionId) && isEjected(views, regionId) !== true,
      slow: isSlow(probe),
      latencyMs: probe.latencyMs,
      expectedWaitS: waits ? (waits[priority] ?? Number.POSITIVE_INFINITY) : null,
      backForMs: backs.length === 0 ? null : Math.min(...backs),
    };
  }

  function failed(regionId: string): void {
    const known = circuits.get(regionId);
    const failures = (known?.failures ?? 0) + 1;
    const pause = Math.min(PASS_OVER_MS * 2 ** Math.min(failures - 1, 10), PASS_OVER_MAX_MS);
    const since = known?.since ?? now();
    circuits.set(regionId, { failures, since, openUntil: now() + pause, trialUntil: 0 });
  }

  function answered(regionId: string): void {
    const circuit = circuits.get(regionId);
    if (circuit === undefined) return;
    const { since, openUntil } = circuit;
    if (openUntil - since >= AWAY_MS) backAt.set(regionId, Math.min(now(), openUntil));
    circuits.delete(regionId);
  }

  function readTook(regionId: string, ms: number): void {
    const samples = reads.get(regionId) ?? [];
    reads.set(regionId, samples);
    samples.push(ms);
    if (samples.length > SAMPLES) samples.shift();
  }

  return {
    isHealthy: (regionId) => view(regionId).healthy,
    isEjected: (regionId) => isEjected(trusted(), regionId) === true,
    isHopeless: (regionId) => isOpen(regionId) && isEjected(trusted(), regionId) === true,
    view,
    began(regionId) {
      const circuit = circuits.get(regionId);
      if (circuit && !isOpen(regionId)) circuit.trialUntil = now() + TRIAL_MS;
    },
    answered,
    failed,
    readTook,
    usualReadMs(regionId) {
      const samples = reads.get(regionId) ?? [];
      if (samples.length < SAMPLES_NEEDED) return undefined;
      return samples.toSorted((a, b) => a - b)[Math.floor(0.95 * samples.length)];
    },
    learn(views, atMs) {
      known = views;
      knownAt = atMs;
    },
  };
}

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { findRegion, regions } from "../../shared/contracts/regions.ts";
import { createClient, type Client } from "../../shared/client/client.ts";
import type { Fault } from "./faults.ts";
import { drillClient } from "./load.ts";
import { moveHome } from "./duty.ts";
import { createOperator } from "./operator.ts";
import { runRound, type DrillClients, type RoundOptions, type RoundReport } from "./run-round.ts";

export interface DrillOptions extends Omit<RoundOptions, "clients" | "operator" | "home"> {
  rounds: number;
  onRound?: (round: number, report: RoundReport) => void;
}

const HEALTHY_WITHIN_MS = 120_000;

/** Rounds of one fault, each begun when every region is healthy. */
export async function runDrill(options: DrillOptions): Promise<RoundReport[]> {
  const { planet, region, fault, rounds, signal, say, onRound } = options;
  const operator = drillClient(planet.edge, planet.keys.operator);
  const clients = await drillClients(operator, options);
  const { holder } = await operator.admin.getPrimary();
  const home = fault.ofPrimary ? region : (holder ?? planet.primary);
  await untilHealthy(clients.free, signal);
  if (home !== holder) {
    const operate = createOperator(planet.stateDir, { signal });
    const { there: clientThere } = clients;
    await moveHome({ region, home, operate, clientThere, note: say, signal });
  }
  const reports: RoundReport[] = [];
  for (let round = 1; round <= rounds; round++) {
    await untilHealthy(clients.free, signal);
    say(`Round ${round} of ${rounds}: ${fault.does.replace("{region}", region)}`);
    const report = await runRound({ ...options, clients, operator, home });
    reports.push(report);
    onRound?.(round, report);
  }
  return reports;
}

/** A tenant that may go anywhere, one that is bound to the region's jurisdiction, and one that is sent there. */
async function drillClients(
  operator: Client,
  { planet, region, fault }: Pick<DrillOptions, "planet" | "region" | "fault">,
): Promise<DrillClients> {
  const run = randomUUID().slice(0, 8);
  const jurisdiction = findRegion(region)?.jurisdiction;
  const elsewhere = regions.find((other) => other.jurisdiction !== jurisdiction)?.jurisdiction;
  const make = async (kind: string, residency: "global" | typeof jurisdiction) => {
    const id = `ten_drill_${kind}_${run}`;
    await operator.admin.createTenant({ id, name: "Drill", residency });
    const { key } = await operator.admin.createKey({ tenant_id: id, name: "drill" });
    const client = drillClient(planet.edge, key);
    // Its jobs' webhooks are signed with it.
    await client.webhooks.rotate();
    return { client, key };
  };
  const { client: free } = await make("free", fault.loadElsewhere ? elsewhere : "global");
  const { client: bound } = await make("bound", jurisdiction);
  const { key: apiKey } = await make("there", "global");
  return { free, bound, there: createClient({ baseUrl: planet.edge, apiKey, region }) };
}

/** @throws when a region is not healthy within two minutes */
async function untilHealthy(client: Client, signal: AbortSignal): Promise<void> {
  const end = performance.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    const list = await client.listRegions().catch(() => undefined);
    const ill = list?.data.filter(({ healthy }) => !healthy).map(({ id }) => id);
    if (ill?.length === 0) return;
    if (performance.now() > end) {
      throw new Error(`not every region is healthy: ${ill?.join(", ") ?? "the edge is away"}`);
    }
    await sleep(500, undefined, { signal });
  }
}

/** The drill's last line, as quality.md names its fields. */
export interface DrillSummary {
  drill: string;
  region: string;
  rounds: number;
  accepted: number;
  refused: number;
  lost: number;
  doubled: number;
  failed: number;
  waited: number;
  redispatched: number;
  rto_ms: { p50: number | null; max: number | null };
  rpo_rows: number;
  /** The longest of all rounds, as the witness in each region saw it. */
  two_primaries_ms: number;
  /** From the region's return until it had its share of the requests again; null where that was not seen. */
  slow_start_s: { min: number | null; max: number | null };
}

export function summarize(
  drill: string,
  region: string,
  reports: readonly RoundReport[],
): DrillSummary {
  const verdicts = reports.map(({ verdict }) => verdict);
  const sum = (of: (verdict: RoundReport["verdict"]) => number) =>
    verdicts.reduce((total, verdict) => total + of(verdict), 0);
  const times = verdicts
    .flatMap(({ rtoMs }) => (rtoMs === null ? [] : [Math.round(rtoMs)]))
    .toSorted((a, b) => a - b);
  const starts = reports
    .flatMap((report) => report.return?.slowStartS ?? [])
    .map((seconds) => Math.round(seconds))
    .toSorted((a, b) => a - b);
  return {
    drill,
    region,
    rounds: reports.length,
    accepted: sum(({ accepted }) => accepted),
    refused: sum(({ refused }) => refused),
    lost: sum(({ lost }) => lost.length),
    doubled: sum(({ doubled }) => doubled.length),
    failed: sum(({ failed }) => failed.length),
    waited: sum(({ waited }) => waited),
    redispatched: sum(({ redispatched }) => redispatched),
    rto_ms: { p50: times[Math.floor((times.length - 1) / 2)] ?? null, max: times.at(-1) ?? null },
    rpo_rows: sum(({ rpoRows }) => rpoRows.length),
    two_primaries_ms: Math.max(0, ...reports.map(({ twoPrimariesMs }) => twoPrimariesMs)),
    slow_start_s: { min: starts[0] ?? null, max: starts.at(-1) ?? null },
  };
}

/** Whether a drill kept the promises; a fault that takes no region has no time of recovery to keep. */
export function kept(
  { lost, doubled, failed, rpo_rows, two_primaries_ms, rto_ms }: DrillSummary,
  { takesRegion }: Fault,
): boolean {
  const late = takesRegion && (rto_ms.max ?? 0) > MAX_RTO_MS;
  const broken = lost + doubled + failed + rpo_rows + two_primaries_ms;
  return broken === 0 && !late;
}

const MAX_RTO_MS = 5_000;

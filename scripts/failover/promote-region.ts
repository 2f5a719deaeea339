import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../shared/client/client.ts";
import type { PrimaryStatus } from "../../shared/contracts/primary.ts";

export interface Promotion {
  region: string;
  promoted: boolean;
  term: number;
  took_ms: number;
  /** Why it was not. */
  reason?: string;
}

export interface PromoteOptions {
  signal: AbortSignal;
  say(line: string): void;
  timeoutMs?: number;
}

/** Asks for a promotion, tells how it goes, and settles once the region is the primary, or it was given up. */
export async function promoteRegion(
  client: Client,
  region: string,
  { signal, say, timeoutMs = 120_000 }: PromoteOptions,
): Promise<Promotion> {
  const began = performance.now();
  const took = () => Math.round(performance.now() - began);
  let status = await client.admin.promoteRegion(region);
  if (status.holder === region && roleOf(status, region) === "primary") {
    say(`${region} has the primary already.`);
    return { region, promoted: true, term: status.term, took_ms: 0 };
  }
  say(`${status.holder ?? "nobody"} has the primary (term ${status.term}); asked for ${region}.`);
  let told = "";
  let asked = true;
  while (took() < timeoutMs) {
    await sleep(300, undefined, { signal });
    status = await client.admin.getPrimary().catch(() => status);
    const role = roleOf(status, region);
    if (status.holder === region && role === "primary") {
      say(`${region} is the primary, term ${status.term}, after ${(took() / 1000).toFixed(1)} s.`);
      return { region, promoted: true, term: status.term, took_ms: took() };
    }
    const why = reasonOf(status, region);
    const now = status.holder === region ? `${region} is being promoted` : (why ?? "it may begin");
    if (now !== told) say(`  ${(took() / 1000).toFixed(1)} s  ${now}`);
    told = now;
    // The handing over has its time; after it nothing has changed.
    asked &&= status.handing_over_to === region || status.holder === region;
    if (!asked) return { region, promoted: false, term: status.term, took_ms: took(), reason: now };
  }
  const reason = `not within ${timeoutMs / 1000} s`;
  return { region, promoted: false, term: status.term, took_ms: took(), reason };
}

const reportOf = ({ regions }: PrimaryStatus, id: string) =>
  regions.find(({ region }) => region === id);
const roleOf = (status: PrimaryStatus, id: string) => reportOf(status, id)?.role;
const reasonOf = (status: PrimaryStatus, id: string): string | null =>
  reportOf(status, id) ? reportOf(status, id)!.cannot_take_over : "its keeper has never reported";

import { setTimeout as sleep } from "node:timers/promises";
import { PrimaryStatus } from "../../shared/contracts/primary.ts";
import type { Client } from "../../shared/client/client.ts";
import type { Operate } from "./operator.ts";

/** By which commands are given, until `signal` is aborted. */
export interface Hands {
  operate: Operate;
  signal: AbortSignal;
}

/** What the person on duty has in hand during a round. */
export interface Duty extends Hands {
  /** The region that the drill is about. */
  region: string;
  /** The region that is to have the primary when all is well. */
  home: string;
  /** Of a tenant of the drill's own; its requests all go to the region. */
  clientThere: Client;
  note(what: string): void;
  /** A job that the drill had given up on every attempt. */
  buried?: string;
}

/** Alarms come late: the first look is taken after so long. */
const ALARMED_AFTER_MS = 5_000;
const LOOK_EVERY_MS = 1_000;
const HOME_WITHIN_MS = 90_000;
const INSISTS_MS = 60_000;

const firstLine = (text: string): string => text.trim().split("\n")[0] ?? "";

/** What the runbook says is looked at first. */
export async function lookAround({ region, operate, note, signal }: Duty): Promise<void> {
  await sleep(ALARMED_AFTER_MS, undefined, { signal });
  // It ends with 1 while a region is away.
  const status = await operate("npm run antiphon -- status", [0, 1]);
  const line = status.split("\n").find((each) => each.includes(region)) ?? firstLine(status);
  note(`npm run antiphon -- status: ${line.trim().replaceAll(/\s+/g, " ")}`);
  note(`npm run failover -- status: ${firstLine(await operate("npm run failover -- status"))}`);
}

/** Gives a command again while it fails, as a person would for a while: what it needs may be about to come. */
export async function insist(command: string, { operate, signal }: Hands): Promise<string> {
  const end = performance.now() + INSISTS_MS;
  for (;;) {
    try {
      return await operate(command);
    } catch (error) {
      if (signal.aborted || performance.now() > end) throw error;
      await sleep(LOOK_EVERY_MS, undefined, { signal });
    }
  }
}

/** Brings a region back. Its replica needs the primary, which may be about to be moved. */
export const bringUp = (region: string, hands: Hands): Promise<string> =>
  insist(`npm run planet -- up ${region}`, hands);

const readPrimary = async (operate: Operate): Promise<PrimaryStatus> => {
  const text = await operate("npm run failover -- status --json");
  return PrimaryStatus.parse(JSON.parse(text));
};

/** With the primary lost: promotes what could take over, by hand. */
export async function promoteByHand({ region, operate, note, signal }: Duty): Promise<void> {
  await sleep(ALARMED_AFTER_MS, undefined, { signal });
  const { regions } = await readPrimary(operate);
  note(`npm run failover -- status: ${firstLine(await operate("npm run failover -- status"))}`);
  const replicas = regions.filter((each) => each.region !== region && each.role === "replica");
  const refusals: string[] = [];
  for (const { region: next } of replicas) {
    const command = `npm run failover -- promote ${next}`;
    try {
      note(`${command}: ${lastLine(await operate(command))}`);
      return;
    } catch (error) {
      // Another has more of the log: the next one is asked for.
      refusals.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`no region could be promoted: ${refusals.join("; ")}`);
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";

/** Brings the primary back to where it was, once that has a replica again. Nothing where it still is. */
export async function moveHome({ home, operate, note, signal }: Duty): Promise<void> {
  const end = performance.now() + HOME_WITHIN_MS;
  for (;;) {
    const { holder, regions } = await readPrimary(operate);
    const there = regions.find(({ region }) => region === home);
    if (holder === home && there?.role === "primary") return;
    if (holder !== home && there?.role === "replica") {
      const command = `npm run failover -- promote ${home}`;
      const outcome = await operate(command).catch((error: unknown) => error);
      if (typeof outcome === "string") {
        note(`${command}: ${lastLine(outcome)}`);
        return;
      }
      // It may have to catch up first.
      if (performance.now() > end) throw outcome;
    }
    if (performance.now() > end) throw new Error(`${home} did not become a replica in time`);
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

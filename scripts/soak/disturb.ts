import { setTimeout as sleep } from "node:timers/promises";
import type { Part } from "./part.ts";

/** How often what was done to a soak's processes. */
export interface Kills {
  worker: number;
  redis: number;
  worker_paused: number;
  keeper_paused: number;
}

export interface Disturbed {
  /** Those that may be killed; the others are only paused, so that their memory can be followed. */
  mortal: readonly Part[];
  workers: readonly Part[];
  keeper: Part;
  /** Kills Redis, and starts it again from its files. */
  restartRedis(): Promise<void>;
}

export interface DisturbOptions {
  kills: Kills;
  random: () => number;
  leaseMs: number;
  /** Bounds of the pause between two disturbances. */
  everyMs: readonly [number, number];
  signal: AbortSignal;
}

/** Kills and freezes at random, one thing at a time, until the signal is aborted; what was frozen then goes on. */
export async function disturb(parts: Disturbed, options: DisturbOptions): Promise<void> {
  const { kills, random, leaseMs, everyMs, signal } = options;
  const { mortal, workers, keeper, restartRedis } = parts;
  const one = (of: readonly Part[]) => of[Math.floor(random() * of.length)]!;
  const wait = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);

  async function freeze(part: Part, ms: number): Promise<void> {
    const { resume } = part.pause();
    await wait(ms);
    resume();
  }

  while (!signal.aborted) {
    await wait(everyMs[0] + random() * (everyMs[1] - everyMs[0]));
    if (signal.aborted) return;
    const roll = random();
    if (roll < 0.45) {
      kills.worker += 1;
      one(mortal).kill();
    } else if (roll < 0.7) {
      kills.worker_paused += 1;
      // Some for less than a lease, some for longer.
      await freeze(one(workers), leaseMs * (0.3 + 1.4 * random()));
    } else if (roll < 0.85) {
      kills.keeper_paused += 1;
      await freeze(keeper, leaseMs * random());
    } else {
      kills.redis += 1;
      await restartRedis();
    }
  }
}

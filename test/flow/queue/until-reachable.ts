import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "../../../regions/queue/queue-port.ts";

/** Waits until the queue has connected. */
export async function untilReachable(queue: Queue): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await queue.ping();
    } catch (error) {
      if (tries > 3_000) throw error;
      await sleep(10);
    }
  }
}

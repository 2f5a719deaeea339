import type { Redis } from "../results/redis.ts";
import { define } from "../results/scripts.ts";

/** Moves a stream's entry that can never be handled to the dead letters, with the reason. */
export async function buryEntry(
  redis: Redis,
  entry: { stream: string; group: string; id: string; to: string; reason: string },
): Promise<void> {
  await define(redis, "bury", 2)(entry.stream, entry.to, entry.id, entry.group, entry.reason);
}

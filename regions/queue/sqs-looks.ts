import { turns } from "./lanes.ts";

/** Up to `most` jobs, from the first of these lanes that has any, then from the next. */
export interface Look {
  lanes: readonly number[];
  most: number;
}

/**
 * How the next `max` jobs are looked for: turns that begin with the same lanes are looked for together, so that a batch of receives
 * does what single turns would. What one look does not find, the last one looks for once more in the strict order.
 * @param turn how many jobs this process has taken before
 */
export function looksFor(turn: number, max: number): Look[] {
  const found = new Map<string, Look>();
  for (let n = 0; n < max; n++) {
    const order = turns[(turn + n) % turns.length]!;
    const key = order.join();
    found.set(key, { lanes: order, most: (found.get(key)?.most ?? 0) + 1 });
  }
  return [...found.values(), { lanes: turns[0]!, most: max }];
}

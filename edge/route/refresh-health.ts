import type { RegionHealth } from "./region-health.ts";
import type { Vantages } from "./vantages.ts";

/** An isolate that is asked something looks at the vantages this often at most. */
const EVERY_MS = 500;
/** A look that did not come back by then is given up for lost. */
const LOST_AFTER_MS = 5_000;

/**
 * Brings an isolate's view of the regions up to date, if it is time. Nobody waits for it: the request at hand goes by what was known
 * before. The request that began a look carries it through; promises of one request cannot be awaited by another.
 */
export function createRefreshHealth(
  vantages: Vantages,
  health: Pick<RegionHealth, "learn">,
  now: () => number = Date.now,
): () => Promise<void> | undefined {
  let beganAt = Number.NEGATIVE_INFINITY;
  let underWay = false;

  async function refresh(): Promise<void> {
    const began = now();
    beganAt = began;
    underWay = true;
    try {
      const views = await vantages.look();
      if (views.length > 0 && beganAt === began) health.learn(views, began);
    } finally {
      if (beganAt === began) underWay = false;
    }
  }

  return () => (now() - beganAt < (underWay ? LOST_AFTER_MS : EVERY_MS) ? undefined : refresh());
}

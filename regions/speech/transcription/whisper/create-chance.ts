import { logSumExp } from "../neural/logits.ts";

/** Draws tokens by their probability; the same logits always give the same tokens, since results are cached by content. */
export interface Chance {
  /** @param logits of every token; -Infinity for what may not come */
  draw(logits: Float32Array): number;
}

/** @param temperature above 0; the higher, the more even are the chances. Of 0 nothing is drawn. */
export function createChance(temperature: number): Chance {
  // mulberry32, begun anew for each window and temperature.
  let seed = 0x5eed;
  const random = (): number => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    draw(logits) {
      const scaled = logits.map((logit) => logit / temperature);
      const total = logSumExp(scaled);
      let left = random();
      let last = 0;
      for (let i = 0; i < scaled.length; i += 1) {
        if (scaled[i] === -Infinity) continue;
        last = i;
        left -= Math.exp(scaled[i]! - total);
        if (left < 0) break;
      }
      return last;
    },
  };
}

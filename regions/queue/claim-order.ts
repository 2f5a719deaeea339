import type { Priority } from "../../shared/contracts/job.ts";

/**
 * Which line a worker's n-th claim tries first. Strict by priority, but for a small share that keeps the lower lines
 * moving under a steady load from above: two claims in sixteen begin with standard, one with batch.
 * Fairness between tenants and shares by weight replace this.
 */
export function claimOrder(turn: number): Priority[] {
  switch (turn % 16) {
    case 5:
    case 10:
      return ["standard", "interactive", "batch"];
    case 15:
      return ["batch", "interactive", "standard"];
    default:
      return ["interactive", "standard", "batch"];
  }
}

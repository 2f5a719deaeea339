import { priorities, type JobSpec, type Priority } from "../../shared/contracts/job.ts";

/**
 * The lanes that jobs wait in, the most urgent first: two for each class, of which tenants that are VIP have the first. Numbered
 * from 1, as Lua counts.
 */
export const lanes = priorities.flatMap((priority) => [
  { priority, vip: true, name: `${priority}:vip` },
  { priority, vip: false, name: priority as string },
]);

export function laneOf({ priority, tenant }: Pick<JobSpec, "priority" | "tenant">): number {
  return 1 + 2 * priorities.indexOf(priority) + (tenant?.vip ? 0 : 1);
}

/** The class that a lane belongs to. */
export const classOf = (lane: number): Priority => lanes[lane - 1]!.priority;

const strict = [1, 2, 3, 4, 5, 6];

/**
 * In which order the lanes are tried, turn by turn (a turn is a job taken), over and over. Strict, but for a small share that keeps
 * the lower ones moving under a steady load from above: of sixteen turns two begin with the standard class and one with batch, and
 * in two the tenants that are not VIP go first within each class.
 */
export const turns: readonly (readonly number[])[] = Array.from({ length: 16 }, (_, turn) => {
  if (turn === 5 || turn === 10) return [3, 4, 1, 2, 5, 6];
  if (turn === 15) return [5, 6, 1, 2, 3, 4];
  if (turn === 3 || turn === 12) return [2, 1, 4, 3, 6, 5];
  return strict;
});

/** A model that is loaded. */
export interface ResidentModel {
  key: string;
  memoryMb: number;
  /** When it last was asked for anything, on any clock. */
  usedAt: number;
  /** It has work to do. */
  busy: boolean;
}

export type ResidencyPlan =
  /** Load it once these are gone. */
  | { type: "load"; unload: string[] }
  /** It would not fit if it were alone. */
  | { type: "too_large" };

/**
 * Which models have to go so that another fits into the budget: idle ones before busy ones, the least recently used first,
 * and none that would not have to. Depends on nothing but its arguments.
 */
export function planResidency(
  resident: readonly ResidentModel[],
  wanted: Pick<ResidentModel, "key" | "memoryMb">,
  budgetMb: number,
): ResidencyPlan {
  if (wanted.memoryMb > budgetMb) return { type: "too_large" };
  let used = resident.reduce((sum, { memoryMb }) => sum + memoryMb, wanted.memoryMb);
  const going: ResidentModel[] = [];
  const byWorth = resident.toSorted(
    (a, b) => Number(a.busy) - Number(b.busy) || a.usedAt - b.usedAt,
  );
  for (const model of byWorth) {
    if (used <= budgetMb) break;
    if (model.memoryMb === 0) continue;
    going.push(model);
    used -= model.memoryMb;
  }
  // A large one at the end may have made room enough without the small ones before it: the most worth stay.
  for (const model of going.toReversed()) {
    if (used + model.memoryMb > budgetMb) continue;
    going.splice(going.indexOf(model), 1);
    used += model.memoryMb;
  }
  return { type: "load", unload: going.map(({ key }) => key) };
}

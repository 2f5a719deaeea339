import type { ClaimOptions } from "../../shared/policies/claim.ts";
import type { ScalingRules } from "../../shared/policies/scale.ts";
import type { SimulatedJob } from "./make-workload.ts";

/** How jobs come to workers: handed over as they arrive, or claimed by whoever has room. */
export type SimulatedPolicy =
  | { by: "assigning"; rule: "round-robin" | "least-connections"; weighted: boolean }
  | { by: "claiming"; options: ClaimOptions };

/** Where estimates come from: learnt while it runs, the truth, or one guess for all. */
export type SimulatedEstimates = "learnt" | "known" | "none";

export interface SimulatedRegion {
  id: string;
  workers: readonly { speed: number; slots: number }[];
}

export interface SimulatedScaling {
  rules: ScalingRules;
  /** Of the workers that are added, each in turn. */
  speeds: readonly number[];
  slots: number;
  /** From the decision until a new worker claims jobs; the second for machines that were kept warm. */
  bootS: number;
  warmBootS: number;
}

export interface SimulationOptions {
  jobs: readonly SimulatedJob[];
  regions: readonly SimulatedRegion[];
  policy: SimulatedPolicy;
  estimates: SimulatedEstimates;
  /** How old a worker's knowledge of the others may be; 0: never old. */
  reportEveryS?: number;
  /** Of chance in who asks first, and in when reports are sent. */
  seed?: number;
  /** Jobs go to the region nearest to the client, or to the one with the least wait on top of the way there. */
  route?: "nearest" | "expected-wait";
  /** Round trips in seconds between regions by index; 0 where absent. */
  roundTripS?: (from: number, to: number) => number;
  scaling?: SimulatedScaling | undefined;
  /** Seconds between entries of the timeline. */
  sampleEveryS?: number;
}

export interface SimulatedEnd {
  job: SimulatedJob;
  region: number;
  worker: string;
  speed: number;
  startedAtS: number;
  endedAtS: number;
}

export interface Sample {
  atS: number;
  region: string;
  waiting: number;
  running: number;
  workers: number;
  slots: number;
}

export interface Simulation {
  ends: SimulatedEnd[];
  timeline: Sample[];
  /** Compute-seconds done, and those that could have been done by the workers that were there, from first arrival to last end. */
  done: number;
  possible: number;
  /** The same, as long as jobs still came. */
  doneWhileComing: number;
  possibleWhileComing: number;
  changes: { atS: number; region: string; from: number; to: number; why: string }[];
  leastWorkers: number;
  mostWorkers: number;
  /** How long it took until the last job ended, and how many workers were up, added up over that time. */
  lengthS: number;
  workerSeconds: number;
}

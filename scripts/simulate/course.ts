import type { WorkerLoad } from "../../shared/contracts/load-report.ts";
import type { WaitingJob } from "../../shared/policies/claim.ts";
import type { ScalingState } from "../../shared/policies/scale.ts";
import type { Agenda } from "./create-agenda.ts";
import { createAgenda } from "./create-agenda.ts";
import type { Random } from "./create-random.ts";
import { createRandom } from "./create-random.ts";
import type { SimulatedJob } from "./make-workload.ts";
import type { Simulation, SimulationOptions } from "./simulation.ts";

export interface Claimed {
  job: SimulatedJob;
  estimate: number;
  startedAtS: number;
}

export interface SimulatedWorker {
  id: string;
  speed: number;
  slots: number;
  running: Claimed[];
  /** Handed over and not begun; only where jobs are assigned. */
  queue: SimulatedJob[];
  given: number;
  report: WorkerLoad;
  fromS: number;
  draining: boolean;
  asksAtS: number | undefined;
}

export interface SimulatedPool {
  index: number;
  id: string;
  workers: SimulatedWorker[];
  /** In the order of due times. */
  waiting: WaitingJob[];
  waitingCompute: number;
  turn: number;
  scaling: ScalingState;
  ordered: number;
  added: number;
  created: number;
  /** Slot-seconds in use since the last look, and how many there were. */
  used: number;
  usable: number;
  lastUsedS: number;
}

/** What comes to pass at a moment. */
export type SimulatedEvent =
  | { type: "arrival"; job: SimulatedJob }
  | { type: "end"; pool: SimulatedPool; worker: SimulatedWorker; run: Claimed }
  | { type: "ask"; pool: SimulatedPool; worker: SimulatedWorker }
  | { type: "report"; pool: SimulatedPool; worker: SimulatedWorker }
  | { type: "ready"; pool: SimulatedPool; speed: number }
  | { type: "scale" }
  | { type: "sample" };

/** One simulation under way: what its parts share. */
export interface Course {
  readonly options: SimulationOptions;
  /** When the event under way comes to pass. */
  nowS: number;
  readonly lastArrivalS: number;
  readonly agenda: Agenda<SimulatedEvent>;
  readonly random: Random;
  readonly pools: readonly SimulatedPool[];
  readonly result: Simulation;
}

export function createCourse(options: SimulationOptions): Course {
  return {
    options,
    nowS: 0,
    lastArrivalS: options.jobs.at(-1)?.arrivesAtS ?? 0,
    agenda: createAgenda(),
    random: createRandom(options.seed ?? 1),
    pools: options.regions.map(({ id }, index) => ({
      index,
      id,
      workers: [],
      waiting: [],
      waitingCompute: 0,
      turn: 0,
      scaling: {},
      ordered: 0,
      added: 0,
      created: 0,
      used: 0,
      usable: 0,
      lastUsedS: 0,
    })),
    result: {
      ends: [],
      timeline: [],
      done: 0,
      possible: 0,
      doneWhileComing: 0,
      possibleWhileComing: 0,
      changes: [],
      leastWorkers: Infinity,
      mostWorkers: 0,
      lengthS: 0,
      workerSeconds: 0,
    },
  };
}

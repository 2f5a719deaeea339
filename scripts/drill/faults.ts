import { emptyDisk, fillDisk, giveSmallDisk } from "./small-disk.ts";
import type { PlanetUnderDrill } from "./planet-under-drill.ts";
import { bringUp, type Duty, type Hands, lookAround, moveHome, promoteByHand } from "./duty.ts";
import { burySomeJob, lookAfterDeadLetters } from "./dead-letters.ts";

/**
 * A fault: it kills, freezes, cuts, slows or fills, by the planet's control and the links alone. Nothing in edge or regions is told.
 * What a person on duty would do about it is done by the commands of the runbook.
 */
export interface Fault {
  /** What it does, for people; {region} is replaced. */
  does: string;
  /** How long it lasts unless told otherwise, milliseconds. */
  holdMs: number;
  /** Whether new requests of tenants that may go elsewhere are held to the time of recovery. */
  takesRegion: boolean;
  /**
   * Clients ask for `multi_region` durability, and none is bound to the region: what only a lost disk had is gone, and nobody had been
   * promised otherwise.
   */
  durable?: boolean;
  /** The load's clients are bound to another region: this one's worker is killed again and again, and their jobs with it. */
  loadElsewhere?: boolean;
  /** Of a region that has the primary: it is moved there first. */
  ofPrimary?: boolean;
  /** The runbook's commands that are given, each at least once in a round; REGION and ID stand for what is filled in. */
  runbook: readonly string[];
  /** Done to the folder of a planet of the drill's own before it starts; what is answered undoes it. Without it any planet will do. */
  prepare?: (stateDir: string, region: string) => Promise<() => Promise<void>>;
  inflict(planet: PlanetUnderDrill, region: string, duty: Duty): Promise<unknown>;
  /** What the person on duty does while it lasts. */
  meanwhile?: (duty: Duty) => Promise<unknown>;
  /** Ends it. By the runbook where that is a person's work, else as it would end by itself. */
  heal(planet: PlanetUnderDrill, region: string, hands: Hands): Promise<unknown>;
  /** What the person on duty does once all runs again. */
  afterwards?: (duty: Duty) => Promise<unknown>;
}

const nothing = async (): Promise<void> => undefined;
const links = (planet: PlanetUnderDrill, match: string, change: object) =>
  planet.control("/links", { match, change });
const kill = (planet: PlanetUnderDrill, name: string) =>
  planet.control(`/processes/${name}/kill`, { signal: "SIGKILL" });
const SLOW_MS = 2_000;

const STATUS = "npm run antiphon -- status";
const UP = "npm run planet -- up REGION";
const PRIMARY = "npm run failover -- status";
const PROMOTE = "npm run failover -- promote REGION";

/** By the name of the command. */
export const faults = {
  kill: {
    does: "kill API, workers, keeper, Redis, Postgres and object store of {region} at once",
    // Longer than it takes to declare a region lost, so that its jobs are seen to move.
    holdMs: 30_000,
    takesRegion: true,
    runbook: [STATUS, PRIMARY, UP],
    inflict: (planet, region) => planet.control(`/regions/${region}/down`),
    meanwhile: lookAround,
    heal: (_, region, hands) => bringUp(region, hands),
    afterwards: moveHome,
  },
  "kill-worker": {
    does: "kill a worker of {region} in mid-job",
    holdMs: 15_000,
    takesRegion: false,
    runbook: [],
    inflict: (planet, region) => kill(planet, `${region}-worker-1`),
    heal: nothing,
  },
  "kill-primary": {
    does: "kill the Postgres primary, in {region}, and keep it down; another is promoted by hand, and the old one again when it is back",
    // The lease and its margin, the promotion, and the way of the writers to it.
    holdMs: 45_000,
    takesRegion: false,
    ofPrimary: true,
    runbook: [PRIMARY, PROMOTE, UP],
    inflict: (planet, region) => planet.control(`/processes/${region}-postgres/down`),
    meanwhile: promoteByHand,
    heal: (_, region, hands) => bringUp(region, hands),
    afterwards: moveHome,
  },
  "restart-redis": {
    does: "kill the Redis of {region}, which is started again on its disk",
    holdMs: 10_000,
    takesRegion: true,
    runbook: [],
    inflict: (planet, region) => kill(planet, `${region}-redis`),
    heal: nothing,
  },
  partition: {
    does: "cut {region} off: every link to and from it swallows what is sent",
    holdMs: 30_000,
    takesRegion: true,
    runbook: [STATUS, PRIMARY],
    inflict: (planet, region) => links(planet, region, { kind: "cut", how: "blackhole" }),
    meanwhile: lookAround,
    heal: (planet, region) => links(planet, region, { kind: "restore" }),
    afterwards: moveHome,
  },
  slow: {
    does: `add ${SLOW_MS / 1000} s to each round trip to and from {region}`,
    holdMs: 20_000,
    takesRegion: true,
    runbook: [STATUS, PRIMARY],
    inflict: (planet, region) => links(planet, region, { kind: "slow", extra_ms: SLOW_MS }),
    meanwhile: lookAround,
    heal: (planet, region) => links(planet, region, { kind: "restore" }),
  },
  "disk-full": {
    does: "fill the disk of {region} to the last byte",
    holdMs: 20_000,
    takesRegion: true,
    runbook: [],
    prepare: giveSmallDisk,
    inflict: (planet, region) => fillDisk(planet.stateDir, region),
    heal: (planet, region) => emptyDisk(planet.stateDir, region),
    afterwards: moveHome,
  },
  "lose-disks": {
    does: "kill all of {region} at once, and lose its disks for good",
    holdMs: 45_000,
    takesRegion: true,
    durable: true,
    runbook: [STATUS, PRIMARY, UP],
    async inflict(planet, region) {
      await planet.control(`/regions/${region}/down`);
      await planet.control(`/regions/${region}/lose-disks`);
    },
    meanwhile: lookAround,
    heal: (_, region, hands) => bringUp(region, hands),
    afterwards: moveHome,
  },
  poison: {
    does: "kill the worker of {region} in the middle of every attempt of one job, until it is given up; its dead letter is replayed",
    holdMs: 1_000,
    takesRegion: false,
    loadElsewhere: true,
    runbook: [
      "npm run antiphon -- dead-letters",
      "npm run antiphon -- dead-letters show ID",
      "npm run antiphon -- dead-letters replay ID",
      "npm run antiphon -- dead-letters discard ID",
    ],
    inflict: (planet, region, duty) => burySomeJob(duty, () => kill(planet, `${region}-worker-1`)),
    heal: nothing,
    afterwards: lookAfterDeadLetters,
  },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof faults;

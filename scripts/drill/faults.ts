import { emptyDisk, fillDisk, giveSmallDisk } from "./small-disk.ts";
import type { PlanetUnderDrill } from "./planet-under-drill.ts";

/**
 * A fault: it kills, freezes, cuts, slows or fills, by the planet's control and the links alone. Nothing in edge or regions is told.
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
  /** Done to the folder of a planet of the drill's own before it starts; what is answered undoes it. Without it any planet will do. */
  prepare?: (stateDir: string, region: string) => Promise<() => Promise<void>>;
  inflict(planet: PlanetUnderDrill, region: string): Promise<unknown>;
  heal(planet: PlanetUnderDrill, region: string): Promise<unknown>;
}

const nothing = async (): Promise<void> => undefined;
const links = (planet: PlanetUnderDrill, match: string, change: object) =>
  planet.control("/links", { match, change });
const kill = (planet: PlanetUnderDrill, name: string) =>
  planet.control(`/processes/${name}/kill`, { signal: "SIGKILL" });
const SLOW_MS = 2_000;

/** By the name of the command. */
export const faults = {
  kill: {
    does: "kill API, workers, keeper, Redis, Postgres and object store of {region} at once",
    // Longer than it takes to declare a region lost, so that its jobs are seen to move.
    holdMs: 30_000,
    takesRegion: true,
    inflict: (planet, region) => planet.control(`/regions/${region}/down`),
    heal: (planet, region) => planet.control(`/regions/${region}/up`),
  },
  "kill-worker": {
    does: "kill a worker of {region} in mid-job",
    holdMs: 15_000,
    takesRegion: false,
    inflict: (planet, region) => kill(planet, `${region}-worker-1`),
    heal: nothing,
  },
  "kill-primary": {
    does: "kill the Postgres primary, in {region}, and keep it down",
    // The lease and its margin, the promotion, and the way of the writers to it.
    holdMs: 45_000,
    takesRegion: false,
    inflict: (planet, region) => planet.control(`/processes/${region}-postgres/down`),
    heal: (planet, region) => planet.control(`/regions/${region}/up`),
  },
  "restart-redis": {
    does: "kill the Redis of {region}, which is started again on its disk",
    holdMs: 10_000,
    takesRegion: true,
    inflict: (planet, region) => kill(planet, `${region}-redis`),
    heal: nothing,
  },
  partition: {
    does: "cut {region} off: every link to and from it swallows what is sent",
    holdMs: 30_000,
    takesRegion: true,
    inflict: (planet, region) => links(planet, region, { kind: "cut", how: "blackhole" }),
    heal: (planet, region) => links(planet, region, { kind: "restore" }),
  },
  slow: {
    does: `add ${SLOW_MS / 1000} s to each round trip to and from {region}`,
    holdMs: 20_000,
    takesRegion: true,
    inflict: (planet, region) => links(planet, region, { kind: "slow", extra_ms: SLOW_MS }),
    heal: (planet, region) => links(planet, region, { kind: "restore" }),
  },
  "disk-full": {
    does: "fill the disk of {region} to the last byte",
    holdMs: 20_000,
    takesRegion: true,
    prepare: giveSmallDisk,
    inflict: (planet, region) => fillDisk(planet.stateDir, region),
    heal: (planet, region) => emptyDisk(planet.stateDir, region),
  },
  "lose-disks": {
    does: "kill all of {region} at once, and lose its disks for good",
    holdMs: 45_000,
    takesRegion: true,
    durable: true,
    async inflict(planet, region) {
      await planet.control(`/regions/${region}/down`);
      await planet.control(`/regions/${region}/lose-disks`);
    },
    heal: (planet, region) => planet.control(`/regions/${region}/up`),
  },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof faults;

import type { LinkProxy, LinkStats } from "./link-proxy.ts";
import type { PlanetRegion, RegionStatus } from "./region.ts";
import type { ProcessStatus, Supervisor } from "./supervisor.ts";

export type PlanetStatus = {
  edge: { url: string; process: ProcessStatus | undefined };
  regions: RegionStatus[];
  links: LinkStats[];
};

/** Where a planet is reached, and with what: for tests and drills, which look behind the API too. Secrets. */
export type PlanetConnections = {
  edge: string;
  keys: { demo: string; operator: string };
  /** The region whose Postgres is the primary. */
  primary: string;
  /** Each region's own Postgres, as the services' role. */
  databases: Record<string, { postgres: string }>;
};

/** How a running planet is looked at, disturbed and stopped. */
export type PlanetControls = {
  connections(): PlanetConnections;
  readonly regions: ReadonlyMap<string, PlanetRegion>;
  readonly links: ReadonlyMap<string, LinkProxy>;
  readonly supervisor: Supervisor;
  status(): PlanetStatus;
  /** Brings a region back that was down. */
  bringUp(id: string, signal?: AbortSignal): Promise<void>;
  stop(): Promise<void>;
};

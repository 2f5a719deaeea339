import type { LinkProxy, LinkStats } from "./link-proxy.ts";
import type { PlanetRegion, RegionStatus } from "./region.ts";
import type { ProcessStatus, Supervisor } from "./supervisor.ts";

export type PlanetStatus = {
  edge: { url: string; process: ProcessStatus | undefined };
  regions: RegionStatus[];
  links: LinkStats[];
};

/** How a running planet is looked at, disturbed and stopped. */
export type PlanetControls = {
  readonly regions: ReadonlyMap<string, PlanetRegion>;
  readonly links: ReadonlyMap<string, LinkProxy>;
  readonly supervisor: Supervisor;
  status(): PlanetStatus;
  /** Brings a region back that was down. */
  bringUp(id: string, signal?: AbortSignal): Promise<void>;
  stop(): Promise<void>;
};

import type { Region } from "../../shared/contracts/regions.ts";
import type { LinkService } from "./links.ts";
import type { Ports } from "./ports.ts";

/** The ports that a region's own servers listen on. */
export type RegionPorts = {
  api: number;
  objects: number;
  postgres: number;
  redis: number;
  keeper: number;
  workers: number[];
};

/** Where everything of the planet is reached. */
export type Addresses = {
  edge: number;
  regions: Record<string, RegionPorts>;
  /** `http://127.0.0.1:port` of the link's proxy at the sender's end; `from` is a region, "edge" or "client". */
  linkPort(from: string, to: string, service: LinkService): number;
};

export const EDGE_PORT = 8787;
const FIRST_PORT = 9100;

export const localUrl = (port: number) => `http://127.0.0.1:${port}`;

/** The servers' ports: from 9100 on, a hundred for each region, where they are free. */
export async function regionPorts(
  ports: Ports,
  regions: readonly Region[],
  workers: number,
): Promise<Record<string, RegionPorts>> {
  const all: Record<string, RegionPorts> = {};
  for (const [index, { id }] of regions.entries()) {
    const base = FIRST_PORT + 100 * index;
    const want = (name: string, offset: number) => ports.want(`${id}-${name}`, base + offset);
    all[id] = {
      api: await want("api", 0),
      objects: await want("objects", 1),
      postgres: await want("postgres", 2),
      redis: await want("redis", 3),
      keeper: await want("keeper", 4),
      workers: await Promise.all(
        Array.from({ length: workers }, (_, at) => want(`worker-${at + 1}`, 10 + at)),
      ),
    };
  }
  return all;
}

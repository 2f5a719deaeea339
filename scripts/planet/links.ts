import type { Region } from "../../shared/contracts/regions.ts";
import { roundTripMs } from "../../shared/contracts/regions.ts";

/** What a link leads to: a region's Postgres, object store or API; or the edge. */
export type LinkService = "postgres" | "objects" | "api" | "edge";

/** One line of the planet's map. `from` and `to` are region ids, "edge" or "client". */
export type Link = { name: string; from: string; to: string; service: LinkService; rttMs: number };

/** `us-east->eu-west:postgres` */
export function linkName(from: string, to: string, service: LinkService): string {
  return `${from}->${to}:${service}`;
}

/**
 * Every link that crosses a distance. Between regions: Postgres and objects. Edge to region: API and objects.
 * Region to edge: the ledger. Client to region: objects (presigned uploads).
 *
 * @param edgeHome the region next to which edge and clients sit
 */
export function listLinks(regions: readonly Region[], edgeHome: string): Link[] {
  const home = regions.find(({ id }) => id === edgeHome);
  if (home === undefined) throw new Error(`the edge cannot sit at ${edgeHome}: no such region`);
  const link = (from: string, to: string, service: LinkService, rttMs: number): Link => {
    return { name: linkName(from, to, service), from, to, service, rttMs };
  };
  const links: Link[] = [];
  for (const region of regions) {
    for (const other of regions) {
      if (other.id === region.id) continue;
      const rtt = roundTripMs(region, other);
      links.push(
        link(region.id, other.id, "postgres", rtt),
        link(region.id, other.id, "objects", rtt),
      );
    }
    const fromEdge = home.edge_rtt_ms + roundTripMs(home, region);
    links.push(
      link("edge", region.id, "api", fromEdge),
      link("edge", region.id, "objects", fromEdge),
      link(region.id, "edge", "edge", fromEdge),
      link("client", region.id, "objects", fromEdge),
    );
  }
  return links;
}

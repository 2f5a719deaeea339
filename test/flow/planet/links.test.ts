import { expect, test } from "vitest";
import { listLinks } from "../../../scripts/planet/links.ts";
import { replicationOf } from "../../../scripts/planet/replication-of.ts";
import { isPermitted, regions, Residency } from "../../../shared/contracts/regions.ts";

test("each pair of regions, and edge and client to each region, has the links of the map and their round trips", () => {
  const links = new Map(listLinks(regions, "us-east").map((link) => [link.name, link.rttMs]));
  expect(links.size).toBe(regions.length * (regions.length - 1) * 2 + regions.length * 4);
  expect(links.get("us-east->eu-west:postgres")).toBe(72);
  expect(links.get("ap-south->eu-west:objects")).toBe(124);
  expect(links.get("edge->us-east:api")).toBe(6);
  expect(links.get("edge->ap-south:api")).toBe(198);
  expect(links.get("eu-west->edge:edge")).toBe(78);
  expect(links.get("client->eu-west:objects")).toBe(78);
});

test("no object is replicated to a region where its residency does not permit it", () => {
  for (const region of regions) {
    const rules = replicationOf(region, regions);
    for (const residency of Residency.options) {
      const destinations = rules
        .filter(({ prefix }) => prefix.includes(`/${residency}/`))
        .flatMap((rule) => rule.destinations);
      const permitted = regions
        .filter((other) => isPermitted(residency, other))
        .map(({ aws }) => aws);
      expect(permitted).toEqual(expect.arrayContaining(destinations));
      if (residency === "global") expect(new Set(destinations).size).toBe(regions.length - 1);
    }
  }
});

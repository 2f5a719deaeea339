import { expect, test } from "vitest";
import { reignsOf, tellReigns, twoPrimariesMs } from "../../../scripts/drill/judge-primaries.ts";
import { createWitness, type WitnessCommit } from "../../../scripts/drill/witness.ts";
import { startPostgres } from "../../support/postgres.ts";

/** Commits ten times a second, each answered after 10 ms. */
const commits = (region: string, timeline: number, fromMs: number, untilMs: number) =>
  Array.from({ length: Math.floor((untilMs - fromMs) / 100) + 1 }, (_, index): WitnessCommit => {
    const sentMs = fromMs + index * 100;
    return { region, timeline, sentMs, answeredMs: sentMs + 10 };
  });
const judged = (...histories: WitnessCommit[][]) =>
  twoPrimariesMs(reignsOf(histories.flat().toSorted((a, b) => a.answeredMs - b.answeredMs)));

test("a primary that stopped before the next one wrote was alone, also when it came back by a promotion", () => {
  const one = commits("us-east", 1, 0, 6_000);
  const next = commits("eu-west", 2, 14_000, 40_000);
  const home = commits("us-east", 3, 41_000, 50_000);
  expect(judged(one)).toBe(0);
  expect(judged(one, next, home)).toBe(0);
  expect(tellReigns(reignsOf([...one, ...next]), 1_000)).toEqual([
    "us-east's Postgres took its last write at 5.0 s (timeline 1), eu-west's its first at 13.0 s (timeline 2): 8.0 s without a primary",
  ]);
});

test("a primary that went on while the next one wrote is two, for so long", () => {
  const fence = commits("us-east", 1, 0, 16_000);
  const next = commits("eu-west", 2, 14_000, 40_000);
  expect(judged(fence, next)).toBe(2_010);
  expect(tellReigns(reignsOf([...fence, ...next]), 0)[0]).toContain("two primaries for 2.0 s");
  // Both on one timeline, as when somebody starts a replica as a primary.
  expect(judged(fence, commits("eu-west", 1, 14_000, 40_000))).toBe(2_010);
});

test("one that had stopped, and takes a single write after the next one began, is two", () => {
  const thawed = [...commits("us-east", 1, 0, 6_000), ...commits("us-east", 1, 20_000, 20_000)];
  expect(judged(thawed, commits("eu-west", 2, 14_000, 40_000))).toBe(6_010);
});

test("three at once count once for each moment", () => {
  const all = ["us-east", "eu-west", "ap-south"].map((region) => commits(region, 1, 0, 1_000));
  expect(judged(...all)).toBe(1_010);
});

test("the witness sees who takes writes, catches two that do, and no others", async () => {
  const cluster = await startPostgres({ replica: true });
  const [primary, replica] = [cluster.primary, cluster.replica!];
  const witness = createWitness({
    databases: {
      "us-east": { postgres: primary.url },
      "eu-west": { postgres: replica.url },
    },
    now: () => performance.now(),
    everyMs: 10,
  });
  const by = (region: string) => witness.commits.filter((one) => one.region === region);
  try {
    await expect.poll(() => by("us-east").length).toBeGreaterThan(5);
    expect(by("eu-west")).toEqual([]);
    // Nobody stops the primary: just what a lease has to rule out.
    await replica.server.promote([]);
    const before = by("us-east").length;
    await expect.poll(() => by("us-east").length).toBeGreaterThan(before + 5);
    await expect.poll(() => by("eu-west").length).toBeGreaterThan(5);
    await primary.stop();
    const more = async () => {
      const { length } = by("eu-west");
      await expect.poll(() => by("eu-west").length).toBeGreaterThan(length + 10);
    };
    // What it had answered before it ended may be heard after.
    await more();
    const stopped = by("us-east").length;
    await more();
    expect(by("us-east")).toHaveLength(stopped);
  } finally {
    await witness.close();
    await cluster.close();
  }
  const reigns = reignsOf(witness.commits);
  expect(reigns.map(({ region, timeline }) => [region, timeline])).toEqual([
    ["us-east", 1],
    ["eu-west", 2],
  ]);
  expect(twoPrimariesMs(reigns)).toBeGreaterThan(0);
  expect(tellReigns(reigns, 0)[0]).toContain("two primaries");
});

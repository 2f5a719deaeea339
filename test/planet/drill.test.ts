import { expect, test } from "vitest";
import { faults } from "../../scripts/drill/faults.ts";
import { kept, runDrill, summarize } from "../../scripts/drill/run-drill.ts";
import { control, planet } from "./planet-under-test.ts";

test("a region that is killed under load costs no accepted job, doubles none, and others take over at once", async () => {
  const reports = await runDrill({
    planet: {
      edge: planet.edge,
      keys: planet.keys,
      primary: "us-east",
      databases: planet.databases,
      stateDir: planet.stateDir,
      control,
      close: async () => undefined,
    },
    region: "eu-west",
    fault: faults.kill,
    rounds: 1,
    rate: 1.5,
    holdMs: 6_000,
    beforeMs: 3_000,
    afterMs: 2_000,
    settleMs: 120_000,
    signal: AbortSignal.timeout(280_000),
    say: () => undefined,
  });
  const summary = summarize("kill", "eu-west", reports);
  expect(summary).toMatchObject({ lost: 0, doubled: 0, rpo_rows: 0, two_primaries_ms: 0 });
  expect(summary.accepted).toBeGreaterThan(5);
  expect(kept(summary, faults.kill)).toBe(true);
  expect(reports[0]!.moments.map(({ what }) => what)).toContain("eu-west counts as healthy again");
}, 300_000);

import { describe, expect, test } from "vitest";
import type { Job } from "../../../shared/contracts/api.ts";
import { createClientLedger, type Entry } from "../../../scripts/drill/client-ledger.ts";
import { faults } from "../../../scripts/drill/faults.ts";
import type { RoundReport } from "../../../scripts/drill/run-round.ts";
import { judge, type JobRows, type RoundFacts } from "../../../scripts/drill/judge.ts";
import { kept, summarize } from "../../../scripts/drill/run-drill.ts";

type Shown = Partial<Pick<Job, "status" | "dispatch" | "attempt" | "region" | "waiting_for">>;
const FAULT_MS = 1000;
const HEALED_MS = 5000;

/** A round of which every job came through: two before the fault, two during it. Each test breaks one thing. */
function round() {
  const ledger = createClientLedger();
  const show = (entry: Entry, shown: Shown, atMs = 6000) =>
    ledger.saw(
      entry,
      { id: entry.accepted!.jobId, status: "succeeded", dispatch: 1, attempt: 1, ...shown } as Job,
      atMs,
    );
  const entries = [0, 500, 1500, 4000].map((startedMs, index) => {
    const entry = ledger.begin("free", startedMs);
    entry.accepted = { atMs: startedMs + 100, jobId: `job_${index}`, region: "us-east" };
    return entry;
  });
  const rows = new Map<string, JobRows>(
    entries.map((_, index) => [
      `job_${index}`,
      { jobId: `job_${index}`, jobs: 1, results: 1, usage: 3, stages: 3 },
    ]),
  );
  const committedBefore = new Set(["job_0"]);
  const facts: RoundFacts = {
    entries: ledger.entries,
    faultMs: FAULT_MS,
    healedMs: HEALED_MS,
    rows,
    committedBefore,
  };
  const finish = () =>
    entries.forEach((entry) => entry.final ?? show(entry, { region: "us-east" }));
  return { ledger, entries, rows, committedBefore, facts, show, finish };
}

const inOrder = { lost: [], doubled: [], failed: [], rpoRows: [], waited: 0, refused: 0 };

describe("a drill's judge says of a round", () => {
  test("that kept every promise: nothing", () => {
    const { facts, finish } = round();
    finish();
    expect(judge(facts)).toMatchObject({ ...inOrder, accepted: 4, rtoMs: 100 });
  });

  test("with a job that never ended: lost", () => {
    const { facts, entries, finish } = round();
    finish();
    delete entries[2]!.final;
    expect(judge(facts).lost).toEqual(["job_2"]);
  });

  test("with a job that the fault made fail: failed", () => {
    const { facts, entries, show, finish } = round();
    show(entries[2]!, { status: "failed", region: "us-east" });
    finish();
    expect(judge(facts)).toMatchObject({ ...inOrder, failed: ["job_2"] });
  });

  test("with a final state that changed: doubled", () => {
    const { facts, entries, show, finish } = round();
    finish();
    show(entries[1]!, { region: "us-east" });
    expect(judge(facts).doubled).toEqual([]);
    show(entries[1]!, { region: "eu-west", dispatch: 2 });
    expect(judge(facts).doubled).toHaveLength(1);
  });

  test.each([
    ["two rows of a job", { jobs: 2 }],
    ["two results", { results: 2 }],
    ["a stage used twice", { usage: 4 }],
  ])("with %s: doubled", (_, change) => {
    const { facts, rows, finish } = round();
    finish();
    rows.set("job_3", { ...rows.get("job_3")!, ...change });
    expect(judge(facts).doubled).toHaveLength(1);
  });

  test("with one job promised to two requests, or two webhook ids of one event: doubled", () => {
    const { facts, entries, finish } = round();
    finish();
    entries[3]!.accepted!.jobId = "job_0";
    const webhooks = new Map([["job_1 job.succeeded", new Set(["a", "b"])]]);
    expect(judge({ ...facts, webhooks }).doubled).toHaveLength(2);
  });

  test("with a row that had been committed and is gone, or is final without one: rows lost", () => {
    const { facts, rows, finish } = round();
    finish();
    rows.delete("job_0");
    rows.delete("job_3");
    expect(new Set(judge(facts).rpoRows)).toEqual(new Set(["job_0", "job_3"]));
  });

  test("in which jobs waited, moved and were refused: how many", () => {
    const { facts, ledger, entries, show, finish } = round();
    show(entries[0]!, { status: "queued", waiting_for: "audio", region: "us-east" });
    show(entries[1]!, { status: "running", dispatch: 2, region: "eu-west" });
    show(entries[1]!, { dispatch: 2, region: "eu-west" });
    finish();
    ledger.begin("bound", 2000);
    expect(judge(facts)).toMatchObject({ ...inOrder, waited: 1, redispatched: 1, refused: 1 });
  });

  test("in which a new request waited: so long, of tenants that may go elsewhere, while the fault lasted", () => {
    const { facts, ledger, finish } = round();
    finish();
    for (const [client, startedMs, tookMs] of [
      ["free", 900, 9000],
      ["free", 1200, 700],
      ["bound", 1200, 8000],
      ["free", 5100, 7000],
    ] as const) {
      const entry = ledger.begin(client, startedMs);
      entry.accepted = {
        atMs: startedMs + tookMs,
        jobId: `job_${client}_${startedMs}`,
        region: "",
      };
    }
    expect(judge(facts).rtoMs).toBe(700);
    const never = ledger.begin("free", 2000);
    never.failures.push({ atMs: 4500, what: "refused" });
    expect(judge(facts).rtoMs).toBe(2500);
  });
});

test("a drill keeps its promises only when nothing is lost or doubled and service is back in five seconds", () => {
  const { facts, entries, finish } = round();
  finish();
  const report = (more: Partial<RoundReport> = {}): RoundReport => ({
    verdict: judge(facts),
    twoPrimariesMs: 0,
    reigns: [],
    return: undefined,
    returned: "",
    moments: [],
    accepted: [],
    failed: [],
    healedMs: 4000,
    commits: [],
    routed: [],
    ...more,
  });
  const good = summarize("kill", "us-east", [report(), report()]);
  expect(good).toMatchObject({ rounds: 2, accepted: 8, rto_ms: { p50: 100, max: 100 } });
  expect(kept(good, faults.kill)).toBe(true);
  const breaks = [
    { lost: 1 },
    { doubled: 1 },
    { failed: 1 },
    { rpo_rows: 1 },
    { two_primaries_ms: 1 },
  ];
  for (const broken of breaks) expect(kept({ ...good, ...broken }, faults.kill)).toBe(false);
  const twice = [report({ twoPrimariesMs: 30 }), report({ twoPrimariesMs: 20 }), report()];
  expect(summarize("partition", "us-east", twice).two_primaries_ms).toBe(30);
  const slow = { ...good, rto_ms: { p50: 100, max: 5001 } };
  expect(kept(slow, faults.kill)).toBe(false);
  expect(kept(slow, faults["kill-worker"])).toBe(true);
  delete entries[0]!.final;
  expect(summarize("kill", "us-east", [report()]).lost).toBe(1);
});

import { expect, test } from "vitest";
import { batchWindow } from "../../shared/policies/batch-window.ts";

const minutes = (n: number) => n * 60_000;
const batch = { total: 10, open: 10, createdAtMs: 0, nowMs: 0 };

test("what is left takes as long for each item as what is done", () => {
  const half = batchWindow({ ...batch, open: 5, nowMs: minutes(10) });
  expect(half).toEqual({ finishMs: minutes(20), atRisk: false });
  const tight = { ...batch, open: 5, nowMs: minutes(10), deadlineAtMs: minutes(19) };
  expect(batchWindow(tight).atRisk).toBe(true);
  expect(batchWindow({ ...tight, deadlineAtMs: minutes(20) }).atRisk).toBe(false);
});

test("of a batch that has not begun nothing is expected, but half its time without a single end is a risk", () => {
  expect(batchWindow({ ...batch, nowMs: minutes(500) })).toEqual({
    finishMs: undefined,
    atRisk: false,
  });
  const due = { ...batch, deadlineAtMs: minutes(60) };
  expect(batchWindow({ ...due, nowMs: minutes(30) }).atRisk).toBe(false);
  expect(batchWindow({ ...due, nowMs: minutes(31) }).atRisk).toBe(true);
});

test("a batch that is done was in time or not by when its last item ended", () => {
  const done = { ...batch, open: 0, nowMs: minutes(90), deadlineAtMs: minutes(60) };
  expect(batchWindow({ ...done, lastFinishedAtMs: minutes(59) })).toEqual({
    finishMs: minutes(59),
    atRisk: false,
  });
  expect(batchWindow({ ...done, lastFinishedAtMs: minutes(61) }).atRisk).toBe(true);
});

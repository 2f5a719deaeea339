import { describe, expect, it } from "vitest";
import { classOf } from "../../regions/queue/lanes.ts";
import { QueueUnreachableError } from "../../regions/queue/queue-port.ts";
import { sqsError } from "../../regions/queue/sqs-errors.ts";
import { looksFor } from "../../regions/queue/sqs-looks.ts";
import {
  afterError,
  afterReceives,
  judge,
  messageText,
  newJob,
  readJob,
  readLetter,
} from "../../regions/queue/sqs-message.ts";
import { jobSpec } from "./queue-bench.ts";

const NOW = 1_800_000_000_000;
const byNumber = (a: number, b: number) => a - b;
const at = (ms: number) => new Date(NOW + ms).toISOString();
const record = {
  attempt: 1,
  worker_id: "w1",
  started_at: at(0),
  ended_at: at(1),
  how: "error",
  reason: "no bucket",
} as const;

describe("a job in a message", () => {
  it("comes back as it was sent", () => {
    const spec = jobSpec({
      not_before: at(1000),
      deadline_at: at(2000),
      priority: "batch",
      tenant: { vip: true },
    });
    const job = newJob(spec, 2.5);
    expect(readJob(messageText(job))).toEqual(job);
    expect(job).toMatchObject({ lane: 5, costMs: 2500, dueMs: NOW + 1000, deadlineMs: NOW + 2000 });
    expect(JSON.parse(job.spec)).toEqual(spec);
  });

  it("is not made of what is none", () => {
    const job = newJob(jobSpec(), 1);
    const wrong = ["", "hello", "null", "[]", messageText({ ...job, v: 2 })];
    wrong.push(messageText({ ...job, lane: 7 }), messageText({ ...job, base: -1 }));
    for (const body of wrong) expect(readJob(body)).toBeUndefined();
    expect(readLetter(messageText(job))).toBeUndefined();
  });

  it("counts each receive as an attempt, and all but the last as lost", () => {
    const job = { ...newJob(jobSpec(), 1), base: 4, stalls: 1 };
    expect(afterReceives(job, 1, NOW)).toMatchObject({ base: 5, stalls: 1, history: [] });
    const third = afterReceives(job, 3, NOW);
    expect(third).toMatchObject({ base: 7, stalls: 3 });
    expect(third.history.map(({ attempt, how }) => [attempt, how])).toEqual([
      [5, "stalled"],
      [6, "stalled"],
    ]);
  });

  it("is forgiven its stalls by an error, and waits", () => {
    const job = afterReceives(newJob(jobSpec(), 1), 2, NOW);
    expect(afterError(job, record, NOW + 500)).toMatchObject({
      base: 2,
      tried: 1,
      stalls: 0,
      dueMs: NOW + 500,
    });
  });

  it("keeps a history that does not grow for ever", () => {
    let job = newJob(jobSpec(), 1);
    for (let n = 1; n <= 50; n++) job = afterError(job, { ...record, attempt: n }, NOW);
    expect(job.history.map(({ attempt }) => attempt)).toEqual(
      Array.from({ length: 20 }, (_, n) => n + 31),
    );
    const lost = afterReceives(job, 1_000_001, NOW);
    expect(lost.history).toHaveLength(20);
    expect(lost.history.at(-1)!.attempt).toBe(1_000_000);
  });

  it("runs, waits or ends by its counts, its times and its version", () => {
    const job = newJob(jobSpec(), 1);
    const by = { nowMs: NOW, maxStalls: 3, maxVersion: 1 };
    expect(judge(job, by)).toBe("run");
    expect(judge({ ...job, stalls: 2, deadlineMs: NOW + 1, dueMs: NOW }, by)).toBe("run");
    expect(judge({ ...job, stalls: 3 }, by)).toBe("stalled");
    expect(judge({ ...job, deadlineMs: NOW, dueMs: NOW + 1 }, by)).toBe("overdue");
    expect(judge({ ...job, dueMs: NOW + 1, specVersion: 2 }, by)).toBe("early");
    expect(judge({ ...job, specVersion: 2 }, by)).toBe("newer");
  });
});

describe("an error of SQS", () => {
  const named = (name: string) => Object.assign(new Error("no"), { name });

  it("says that trying elsewhere is safe only where nothing was asked", () => {
    expect(sqsError(named("ThrottlingException"))).toBeInstanceOf(QueueUnreachableError);
    for (const error of [named("TimeoutError"), named("InternalFailure"), "odd"]) {
      expect(sqsError(error)).toBe(error);
    }
  });
});

describe("looks for jobs", () => {
  /** What a batch of looks takes where every lane has any number. */
  const taken = (turn: number, max: number) => {
    let left = max;
    return looksFor(turn, max).flatMap(({ lanes, most }) => {
      const found = Math.min(left, most);
      left -= found;
      return Array.from({ length: found }, () => lanes[0]!);
    });
  };

  it("take in batches what single turns would take", () => {
    for (const [turn, max] of [
      [0, 16],
      [5, 3],
      [14, 40],
    ] as const) {
      const single = Array.from({ length: max }, (_, n) => taken(turn + n, 1)[0]!);
      expect(taken(turn, max).toSorted(byNumber)).toEqual(single.toSorted(byNumber));
    }
    const shares = taken(0, 64).map(classOf);
    expect(shares.filter((name) => name === "standard")).toHaveLength(8);
    expect(shares.filter((name) => name === "batch")).toHaveLength(4);
  });

  it("look in every lane before they give up", () => {
    for (let turn = 0; turn < 16; turn++) {
      for (const { lanes } of looksFor(turn, 1)) {
        expect(lanes.toSorted(byNumber)).toEqual([1, 2, 3, 4, 5, 6]);
      }
      expect(looksFor(turn, 1).at(-1)).toEqual({ lanes: [1, 2, 3, 4, 5, 6], most: 1 });
    }
  });
});

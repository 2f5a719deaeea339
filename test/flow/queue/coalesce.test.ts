import { expect, test } from "vitest";
import { coalesce } from "../../../regions/queue/coalesce.ts";

test("what is asked for in one turn goes out together, and each asker gets its own answer", async () => {
  const calls: number[][] = [];
  const double = coalesce(async (items: number[]) => {
    calls.push(items);
    return items.map((item) => 2 * item);
  });
  const answers = await Promise.all([1, 2, 3].map((item) => double(item)));
  expect(answers).toEqual([2, 4, 6]);
  expect(await double(4)).toBe(8);
  expect(calls).toEqual([[1, 2, 3], [4]]);
});

test("askers that each end one thing and ask for the next are served in halves, not in step", async () => {
  const calls: string[] = [];
  const note = (name: string) =>
    coalesce(
      async (items: number[]) => {
        calls.push(`${name} ${items.join()}`);
        return items;
      },
      { most: 2 },
    );
  const end = note("end");
  const begin = note("begin");
  await Promise.all([1, 2, 3, 4].flatMap((asker) => [end(asker), begin(asker)]));
  // The first half has all it waits for before the second half's first call.
  expect(calls).toEqual(["end 1,2", "begin 1,2", "end 3,4", "begin 3,4"]);
});

test("what a call fails with, all in it fail with, and no others", async () => {
  const call = coalesce(
    async (items: number[]) => {
      if (items.includes(2)) throw new Error("no");
      return items;
    },
    { most: 2 },
  );
  const outcomes = await Promise.allSettled([1, 2, 3].map((item) => call(item)));
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
});

test("while as many calls as may be are under way what is asked for is gathered, and goes out in calls of the most", async () => {
  const calls: { items: number[]; end(): void }[] = [];
  const call = coalesce(
    (items: number[]) =>
      new Promise<number[]>((resolve) => calls.push({ items, end: () => resolve(items) })),
    { most: 3, atOnce: 1 },
  );
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const answers = [call(1)];
  await turn();
  for (let item = 2; item <= 6; item++) {
    answers.push(call(item));
    await turn();
  }
  expect(calls.map(({ items }) => items)).toEqual([[1]]);
  for (let at = 0; at < 3; at++) {
    calls[at]!.end();
    await answers[[0, 3, 5][at]!];
    await turn();
  }
  expect(calls.map(({ items }) => items)).toEqual([[1], [2, 3, 4], [5, 6]]);
  expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5, 6]);
});

test("a call that fails lets those go that wait for it", async () => {
  const first = Promise.withResolvers<number[]>();
  const call = coalesce(
    (items: number[]) => (items.includes(1) ? first.promise : Promise.resolve(items)),
    {
      atOnce: 1,
    },
  );
  const failed = expect(call(1)).rejects.toThrow("no");
  await new Promise((resolve) => setImmediate(resolve));
  const waiting = call(2);
  first.reject(new Error("no"));
  await failed;
  expect(await waiting).toBe(2);
});

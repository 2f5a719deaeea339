import fc from "fast-check";
import { expect, test } from "vitest";
import { hashApiKey, isApiKey, mintApiKey } from "../../shared/contracts/api-key.ts";
import { compareEpochs } from "../../shared/contracts/epoch.ts";
import { JobId, mintJobId, readId } from "../../shared/contracts/ids.ts";
import { regions } from "../../shared/contracts/regions.ts";

const randomBytes = (fill: number) => (length: number) => new Uint8Array(length).fill(fill);

test("a job id tells its birth region and its time", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...regions),
      fc.integer({ min: 0, max: 2 ** 47 }),
      fc.uint8Array({ minLength: 10, maxLength: 10 }),
      (region, now, random) => {
        const id = mintJobId(region, { now: () => now, randomBytes: () => random });
        expect(JobId.safeParse(id).success).toBe(true);
        expect(readId(id)).toEqual({ region, createdAtMs: now });
      },
    ),
  );
});

test("later ids sort after earlier ones of the same region", () => {
  const region = regions[0]!;
  const early = mintJobId(region, { now: () => 1_000, randomBytes: randomBytes(255) });
  const late = mintJobId(region, { now: () => 1_001, randomBytes: randomBytes(0) });
  expect(early < late).toBe(true);
});

test.each([
  "",
  "job_use_1",
  "job_xxx_01a1fc01-2e2b-7c21-b0dc-9afc6f4ea85a",
  "ten_a",
  "job_use_../../etc",
])("%j is nobody's id", (id) => {
  expect(readId(id)).toBeUndefined();
});

test("an API key with one character changed is refused by its checksum", () => {
  const key = mintApiKey("live", crypto.getRandomValues(new Uint8Array(32)));
  expect(isApiKey(key)).toBe(true);
  expect(key).toMatch(/^ak_live_/);
  for (let at = 8; at < key.length; at++) {
    const other = key[at] === "a" ? "b" : "a";
    expect(isApiKey(key.slice(0, at) + other + key.slice(at + 1))).toBe(false);
  }
});

test("a key is kept as its SHA-256", async () => {
  expect(await hashApiKey("abc")).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

test("epochs compare by dispatch, then by attempt", () => {
  const attempt = fc.record({
    dispatch: fc.integer({ min: 1, max: 9 }),
    attempt: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(attempt, attempt, (a, b) => {
      const expected = a.dispatch === b.dispatch ? a.attempt - b.attempt : a.dispatch - b.dispatch;
      expect(Math.sign(compareEpochs(a, b))).toBe(Math.sign(expected));
    }),
  );
});

import { expect, test } from "vitest";
import { asCanceled } from "../../regions/results/as-canceled.ts";
import { OfferEntry, readJson } from "../../regions/results/offers.ts";
import { packEndedRun } from "../../shared/contracts/ended-run.ts";
import { makeRun } from "../flow/results/make-run.ts";

const readBack = (packed: string) => readJson(OfferEntry, packed);

test("a run comes back as it was packed, whatever its envelope says otherwise than its offer", () => {
  const run = makeRun();
  const another = { ...run.envelope.job, audio_duration_s: 99, usd: 7, error_code: "internal" };
  const runs: OfferEntry[] = [
    run,
    { ...run, webhook: { user_id: "user-1" }, spent: "uploads/x" },
    { ...run, envelope: { ...run.envelope, job: another } },
    asCanceled(run),
    makeRun({ userId: null }),
  ];
  for (const each of runs) expect(readBack(packEndedRun(each))).toEqual({ value: each });
});

test("what the offer says is not said again", () => {
  const run = makeRun({ userId: null });
  const audio = { sha256: "a".repeat(64), bytes: 9, duration_s: 1.5, extension: "wav" };
  const packed = packEndedRun({ ...run, offer: { ...run.offer, audio } });
  const { envelope } = JSON.parse(packed) as OfferEntry;
  expect(Object.keys(envelope.job).toSorted()).toEqual([
    "created_at",
    "kind",
    "metadata",
    "priority",
    "residency",
  ]);
});

test("an envelope of another run than its offer's is refused, and so is what is no run", () => {
  const run = makeRun();
  const stranger = { ...run, envelope: makeRun({ jobId: run.offer.job_id, attempt: 2 }).envelope };
  expect(readBack(packEndedRun(stranger))).toEqual({ fault: "entry: custom" });
  for (const text of ["null", "1", "[]", '{"offer":null}', '{"offer":{},"envelope":{"job":1}}']) {
    expect(readBack(text)).toEqual({ fault: expect.any(String) as string });
  }
});

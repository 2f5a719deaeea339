import { expect, test } from "vitest";
import type { JobEventState } from "../../shared/contracts/job-events.ts";
import { clientOf, eventually, sha256 } from "./planet-under-test.ts";

const client = clientOf();

test("a text that is spoken as a job is followed to its audio, which is what speech gives at once", async () => {
  const input = `A job of ${new Date().toISOString()}.`;
  const { job_id } = await client.createSpeechJob({ input, response_format: "flac" });
  const states: JobEventState[] = [];
  const job = await client.followJob(job_id, { onState: (state) => states.push(state) });
  expect(job).toMatchObject({ id: job_id, kind: "synthesis", status: "succeeded" });
  expect(states.every(({ status }) => ["queued", "running"].includes(status))).toBe(true);
  const audio = Buffer.from(await (await fetch(job.audio_url!)).arrayBuffer());
  const live = await client.createSpeech({ input, response_format: "flac" });
  expect(sha256(Buffer.from(await live.arrayBuffer()))).toBe(sha256(audio));
});

test("of a batch one bad item fails alone, and the others can be listened to", async () => {
  const items = Array.from({ length: 20 }, (_, n) => ({
    input: n === 7 ? "Привет" : `Number ${n}.`,
  }));
  const { batch_id, job_ids } = await client.createSpeechBatch({ items, deadline_s: 600 });
  const done = await eventually(async () => {
    const batch = await client.getBatch(batch_id);
    return batch.status === "done" ? batch : undefined;
  });
  expect(done.counts).toMatchObject({ total: 20, succeeded: 19, failed: 1 });
  expect(done.window.at_risk).toBe(false);
  expect(done.data.map(({ job_id }) => job_id)).toEqual(job_ids);
  expect(done.data[7]!.error!.code).toBe("text_language_unsupported");
  expect((await fetch(done.data[19]!.audio_url!)).status).toBe(200);
  // Rows of the database come a moment after the ledger's word.
  await eventually(async () => {
    const { data } = await client.listJobs({ limit: 100 });
    return data.find(({ id, kind }) => id === job_ids[7] && kind === "synthesis");
  });
});

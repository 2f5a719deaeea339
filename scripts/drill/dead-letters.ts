import { setTimeout as sleep } from "node:timers/promises";
import { longRecording } from "./load.ts";
import { type Duty, insist } from "./duty.ts";

const LOOK_EVERY_MS = 500;
/** The worker is killed so long after an attempt was seen to run: short jobs that came with it are done by then, and lose no attempt each time. */
const INTO_ATTEMPT_MS = 4_000;
const SECONDS = 900;
const GIVEN_UP_WITHIN_MS = 180_000;
const LISTED_WITHIN_MS = 30_000;
const ENDED_WITHIN_MS = 300_000;

/** Has a job of the drill's own fail on every attempt: `killWorker` in the middle of each. */
export async function burySomeJob(duty: Duty, killWorker: () => Promise<unknown>): Promise<void> {
  const { clientThere: client, note, signal } = duty;
  const recording = await longRecording(SECONDS);
  const wanted = { content_type: "audio/wav", bytes: recording.size };
  const upload = await client.createUpload(wanted, signal);
  await client.putUpload(upload, recording, signal);
  const { id } = await client.createAnalysis(
    { upload_id: upload.upload_id, parts: ["features", "voice_activity"] },
    signal,
  );
  duty.buried = id;
  const end = performance.now() + GIVEN_UP_WITHIN_MS;
  for (let killed = 0; performance.now() < end;) {
    const job = await client.getJob(id, signal).catch(() => undefined);
    if (job?.status === "failed") {
      note(`the job was given up after ${killed} attempts: ${job.error?.code ?? "no reason"}`);
      return;
    }
    if (job?.status === "succeeded") throw new Error("the job ended before it could be disturbed");
    if (job?.status === "running" && job.attempt > killed) {
      await sleep(INTO_ATTEMPT_MS, undefined, { signal });
      await killWorker();
      killed = job.attempt;
      note(`the worker was killed in the middle of attempt ${killed}`);
    }
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
  throw new Error("the job was not given up in time");
}

/** What the runbook says of dead letters: lists, shows, replays and discards that of the job. */
export async function lookAfterDeadLetters(duty: Duty): Promise<void> {
  const { buried, clientThere: client, note, signal } = duty;
  if (buried === undefined) throw new Error("there is no job that was given up");
  const id = await letterOf(buried, duty);
  await insist(`npm run antiphon -- dead-letters show ${id}`, duty);
  const replayed = await insist(`npm run antiphon -- dead-letters replay ${id}`, duty);
  const again = /-> (job_\S+)/.exec(replayed)?.[1];
  if (again === undefined) throw new Error(`it was not replayed: ${replayed}`);
  const within = AbortSignal.any([signal, AbortSignal.timeout(ENDED_WITHIN_MS)]);
  const job = await client.waitForJob(again, { signal: within });
  note(`npm run antiphon -- dead-letters replay: ${job.status}`);
  if (job.status !== "succeeded") throw new Error(`the replayed job ended as ${job.status}`);
  const discarded = await insist(`npm run antiphon -- dead-letters discard ${id}`, duty);
  note(`npm run antiphon -- dead-letters discard: ${discarded.trim()}`);
}

/** The letter comes with the verdict on the job, a moment after its end is shown. */
async function letterOf(job: string, duty: Duty): Promise<string> {
  const { signal } = duty;
  const end = performance.now() + LISTED_WITHIN_MS;
  for (;;) {
    const list = await insist("npm run antiphon -- dead-letters", duty);
    const line = list.split("\n").find((each) => each.includes(job));
    if (line !== undefined) return line.trim().split(/\s+/)[0]!;
    if (performance.now() > end) throw new Error(`no dead letter of ${job}`);
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

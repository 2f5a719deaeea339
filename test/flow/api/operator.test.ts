import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import { createSubmitJob } from "../../../regions/api/submit-job.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { queueKeys } from "../../../regions/queue/queue-keys.ts";
import { createWatchLoad } from "../../../regions/queue/watch-load.ts";
import { createJobHistory } from "../../../regions/results/job-history.ts";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import {
  DeadLetter,
  DiscardDeadLettersAnswer,
  MarkReplayedAnswer,
  ReadDeadLettersAnswer,
} from "../../../shared/contracts/dead-letters.ts";
import { mintJobId } from "../../../shared/contracts/ids.ts";
import { CancelJobAnswer, RegionJobState } from "../../../shared/contracts/internal-api.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { RegionLoad } from "../../../shared/contracts/load-report.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";
import { jobPool } from "../../../shared/policies/scale.ts";
import { ApiError, Problem } from "../../../shared/errors/problem.ts";
import type { AuditEntry, AuditLog } from "../../../regions/store/audit-log.ts";
import { failing, jobSpec } from "../../contract/queue-bench.ts";
import { inProcessApi } from "./in-process-api.ts";
import { edgeRequest, REGION, startRegionBench, type RegionBench } from "./region-bench.ts";

const region = findRegion(REGION)!;
let bench: RegionBench;
let api: Awaited<ReturnType<typeof inProcessApi>>;
/** Acts as they would go to the database, which is away in these tests but where it matters. */
const acts: AuditEntry[] = [];
let auditIsAway = false;
const audit: AuditLog = {
  write: async (entry) => {
    if (auditIsAway) throw new ApiError("dependency_unavailable");
    acts.push(entry);
  },
};
beforeAll(async () => {
  bench = await startRegionBench({ retry: { baseMs: 0 } });
  api = await inProcessApi(bench, { audit });
}, 30_000);
afterAll(async () => {
  await api.close();
  await bench.close();
});

async function call(method: string, target: string, body?: unknown): Promise<Response> {
  return api.app.request(await edgeRequest(method, target, body));
}
async function ask<T extends z.ZodType>(
  answer: T,
  ...[method, target, body]: Parameters<typeof call>
) {
  const response = await call(method, target, body);
  expect(response.status).toBe(200);
  return answer.parse(await response.json()) as z.output<T>;
}
async function refusal(...given: Parameters<typeof call>) {
  const response = await call(...given);
  return [response.status, Problem.parse(await response.json()).code];
}
const cancel = ({ id, tenant_id }: JobSpec) =>
  ask(CancelJobAnswer, "POST", "/internal/jobs/cancel", { job_id: id, tenant_id });
const offersOf = async ({ id }: JobSpec) =>
  (await bench.offers()).map(({ offer }) => offer).filter(({ job_id }) => job_id === id);
const claim = () => bench.queue.claim({ workerId: "w1", signal: AbortSignal.timeout(10_000) });
/** Starts from a queue where nothing waits. */
async function empty(): Promise<void> {
  await bench.client.flushdb();
}
const report = (given: object = {}) =>
  bench.queue.reportLoad({
    v: 1,
    worker_id: "w1",
    capacity: 1,
    active_jobs: 0,
    queued_compute_seconds: 0,
    speed: 1,
    draining: false,
    ttl_ms: 60_000,
    ...given,
  });

test("every answer has its request's id, and may not be kept: a call's, a job's acceptance, a refusal", async () => {
  const stored = Buffer.from(JSON.stringify({ bytes: 9, etag: '"a"', type: "audio/wav" }));
  const answers = [
    await call("GET", "/internal/load"),
    await call("POST", `/internal/jobs?stored=${stored.toString("base64url")}`, jobSpec()),
    await call("POST", "/internal/jobs", {}),
  ];
  const headers = ["x-request-id", "cache-control", "content-type"];
  const seen = answers.map((one) => [one.status, ...headers.map((name) => one.headers.get(name))]);
  expect(seen).toEqual([
    [200, "req_test", "no-store", "application/json"],
    [202, "req_test", "no-store", "application/json"],
    [400, "req_test", "no-store", "application/problem+json"],
  ]);
});

describe("a region's load", () => {
  test("says what waits, who works, and how long a job of each class would wait", async () => {
    await empty();
    const { queue } = bench;
    expect(await ask(RegionLoad, "GET", "/internal/load")).toMatchObject({
      region: REGION,
      workers: 0,
      queued_jobs: 0,
      expected_wait_s: { interactive: null, standard: null, batch: null },
    });
    await report({ capacity: 2, active_jobs: 1, queued_compute_seconds: 0.5 });
    await queue.submit(jobSpec({ priority: "interactive" }), { estimateS: 4 });
    await queue.submit(jobSpec({ priority: "batch" }), { estimateS: 100 });
    const load = await ask(RegionLoad, "GET", "/internal/load");
    expect(load).toMatchObject({
      workers: 1,
      capacity: 2,
      active_jobs: 1,
      active_compute_s: 0.5,
      queued_jobs: 2,
      queued_compute_s: 104,
    });
    const { interactive, standard, batch } = load.expected_wait_s;
    // Four compute-seconds over two slots, and a hundred more.
    expect(interactive).toBeGreaterThan(1.9);
    expect(interactive).toBeLessThan(2.4);
    expect(standard).toBe(interactive);
    expect(batch).toBeGreaterThan(51);
  });

  test("tells a queued job when it will begin, if there is anybody to begin it", async () => {
    await empty();
    const later = await inProcessApi(bench);
    try {
      const first = jobSpec();
      const second = jobSpec();
      await bench.queue.submit(first, { estimateS: 20 });
      await bench.queue.submit(second, { estimateS: 20 });
      const stateIn = async (at: typeof api) => {
        const target = `/internal/jobs/${second.id}?tenant_id=${second.tenant_id}`;
        const answer = await at.app.request(await edgeRequest("GET", target));
        return RegionJobState.parse(await answer.json());
      };
      expect((await stateIn(api)).expected_at).toBeUndefined();
      await report();
      const { nowMs } = await bench.queue.workers();
      const { queue_position, expected_at } = await stateIn(later);
      expect(queue_position).toBe(1);
      const inS = (Date.parse(expected_at!) - nowMs) / 1000;
      expect(inS).toBeGreaterThanOrEqual(20);
      expect(inS).toBeLessThan(25);
    } finally {
      await later.close();
    }
  });

  test("is on the keeper's page of metrics, with the workers that there should be", async () => {
    await empty();
    const metrics = createMetrics();
    const rules = { ...jobPool, min: 1, steps: [{ fromWaiting: 1, add: 1 }] };
    const watch = createWatchLoad({ region: REGION, queue: bench.queue, metrics, rules });
    await report({ capacity: 2 });
    await bench.queue.submit(jobSpec({ priority: "batch" }), { estimateS: 7 });
    await watch.look();
    const page = await metrics.render();
    for (const line of [
      'antiphon_queue_jobs{class="batch"} 1',
      'antiphon_queue_jobs{class="interactive"} 0',
      'antiphon_queue_compute_seconds{class="batch"} 7',
      "antiphon_workers 1",
      "antiphon_worker_slots_free 2",
      "antiphon_workers_desired 2",
    ]) {
      expect(page.split("\n")).toContain(line);
    }
    // What was asked for stays asked for while it is on its way.
    await watch.look();
    expect(await metrics.render()).toContain("antiphon_workers_desired 2\n");
  });
});

describe("a cancel", () => {
  test("ends a job that waits, once, with an offer for the ledger", async () => {
    const spec = jobSpec();
    await bench.queue.submit(spec);
    expect(await cancel(spec)).toEqual({ job_id: spec.id, outcome: "canceled" });
    expect(await offersOf(spec)).toMatchObject([{ status: "canceled", epoch: { attempt: 1 } }]);
    expect((await cancel(spec)).outcome).toBe("too_late");
    expect(await offersOf(spec)).toHaveLength(1);
  });

  test("tells the worker of a job that runs, at once", async () => {
    await empty();
    const spec = jobSpec();
    await bench.queue.submit(spec);
    const run = (await claim())!;
    const told = new Promise<boolean>((resolve) => {
      bench.queue.onCancel(spec.id, () => resolve(true));
    });
    // Its connection for messages may just be opening; the next renewal of its lease would tell it then.
    await expect
      .poll(async () => {
        expect((await cancel(spec)).outcome).toBe("canceling");
        return Promise.race([told, sleep(50, false)]);
      })
      .toBe(true);
    expect(await bench.queue.release(run, { because: "cancel" })).toBe("canceled");
  });

  test("of another tenant's job, or of none, finds nothing, and stops nothing", async () => {
    const spec = jobSpec();
    await bench.queue.submit(spec);
    const refusalOf = (job_id: string, tenant_id: string) =>
      refusal("POST", "/internal/jobs/cancel", { job_id, tenant_id });
    expect(await refusalOf(spec.id, "ten_other")).toEqual([404, "job_not_found"]);
    expect((await bench.queue.state(spec.id))?.state.status).toBe("queued");
    expect(await refusalOf(mintJobId(region), "ten_demo")).toEqual([404, "job_not_found"]);
  });
});

describe("dead letters", () => {
  const read = (id: string) => ask(DeadLetter, "POST", "/internal/dead-letters/read", { id });
  const list = (body: object) =>
    ask(ReadDeadLettersAnswer, "POST", "/internal/dead-letters/list", { limit: 10, ...body });
  async function kill(spec: JobSpec): Promise<void> {
    await bench.queue.submit(spec);
    await bench.queue.release((await claim())!, { ...failing, retryable: false });
  }

  test("show why a job failed and what was to be done, but nothing that the client said of whom", async () => {
    await empty();
    const spec = jobSpec({ metadata: { patient: "K. Novak" }, user_id: "novak-1", language: "cs" });
    await kill(spec);
    await kill(jobSpec());
    const { data, more } = await list({ limit: 1 });
    expect([data.length, more]).toEqual([1, true]);
    expect((await list({ after: data[0]!.id })).data).toHaveLength(1);
    expect(data[0]).toMatchObject({ region: REGION, job_id: spec.id, code: "internal" });
    const letter = await read(data[0]!.id);
    expect(letter).toMatchObject({
      reason: failing.reason,
      history: [{ attempt: 1, worker_id: "w1", how: "error", reason: failing.reason }],
      spec: { kind: "analysis", parts: spec.parts, language: "cs", upload_id: spec.upload_id },
    });
    expect(JSON.stringify(letter)).not.toMatch(/novak/i);
  });

  test("are replayed under one new id, whoever asks; the whole job is given to who submits it", async () => {
    await empty();
    const spec = jobSpec({ metadata: { a: "b" } });
    await kill(spec);
    const [letter] = (await list({})).data;
    const replay = (job_id: string) =>
      ask(MarkReplayedAnswer, "POST", "/internal/dead-letters/replay", { id: letter!.id, job_id });
    const [first, second] = [mintJobId(region), mintJobId(region)];
    expect(await replay(first)).toEqual({ replayed_as: first, tenant_id: spec.tenant_id, spec });
    expect((await replay(second)).replayed_as).toBe(first);
    expect((await read(letter!.id)).replayed_as).toBe(first);
    const details = { job_id: spec.id, tenant_id: spec.tenant_id, replayed_as: first };
    const act = { action: "dead_letter.replay", target: letter!.id, details };
    expect(acts.splice(0)).toEqual([act, act]);
  });

  test("that cannot be read are shown without what they hold, and cannot be replayed", async () => {
    await empty();
    const bad = jobSpec();
    await bench.queue.submit(bad);
    await bench.client.set(`{antiphon}:spec:${bad.id}`, '{"parts": "everything"');
    const good = jobSpec();
    await bench.queue.submit(good);
    expect((await claim())!.spec.id).toBe(good.id);
    const [letter] = (await list({})).data;
    expect(await read(letter!.id)).toMatchObject({
      job_id: bad.id,
      reason: "its specification could not be read",
      spec: null,
    });
    const body = { id: letter!.id, job_id: mintJobId(region) };
    expect(await refusal("POST", "/internal/dead-letters/replay", body)).toEqual([
      409,
      "not_replayable",
    ]);
  });

  test("go when they are discarded; unknown ones, and another region's, are not found", async () => {
    await empty();
    await kill(jobSpec());
    await kill(jobSpec());
    const [letter] = (await list({})).data;
    const discard = (body: object) =>
      ask(DiscardDeadLettersAnswer, "POST", "/internal/dead-letters/discard", body);
    // What cannot be written down is not done.
    auditIsAway = true;
    const wanted = ["POST", "/internal/dead-letters/discard", { all: true }] as const;
    expect(await refusal(...wanted)).toEqual([503, "dependency_unavailable"]);
    expect(await bench.client.xlen(queueKeys.dead)).toBe(2);
    auditIsAway = false;
    expect(await discard({ ids: [letter!.id] })).toEqual({ discarded: 1 });
    expect(await discard({ all: true })).toEqual({ discarded: 1 });
    expect(await bench.client.xlen(queueKeys.dead)).toBe(0);
    expect(acts.splice(0).map(({ action, details }) => [action, details])).toEqual([
      ["dead_letter.discard", { ids: [letter!.id] }],
      ["dead_letter.discard", { all: true }],
    ]);
    for (const id of [letter!.id, "eu-west.1-0"]) {
      const body = { id };
      expect(await refusal("POST", "/internal/dead-letters/read", body)).toEqual([
        404,
        "not_found",
      ]);
    }
  });
});

test("a job of a newer version is refused as by a region that is away, and nothing of it stays", async () => {
  const spec = jobSpec();
  await bench.putUpload(spec, Buffer.from("RIFF"));
  const newer = { ...spec, v: 2, colour: "blue" };
  expect(await refusal("POST", "/internal/jobs", newer)).toEqual([503, "region_unavailable"]);
  expect(await bench.queue.state(spec.id)).toBeUndefined();
});

describe("what jobs take", () => {
  const upload = { bytes: 640_000, contentType: "audio/wav" };
  const ran = { ...upload, audioSeconds: 20, computeSeconds: 60 };

  test("is learnt by all of a region from what one worker saw, and weighs the jobs that come", async () => {
    await empty();
    const worker = createJobHistory({ redis: bench.client });
    const jobHistory = createJobHistory({ redis: bench.client });
    const spec = jobSpec();
    const before = jobHistory.estimateS(spec, upload);
    for (let n = 0; n < 30; n++) worker.observe(spec, ran);
    expect(await worker.exchange()).toBe(true);
    expect(await jobHistory.exchange()).toBe(true);
    const after = jobHistory.estimateS(spec, upload);
    expect(before).toBeLessThan(20);
    expect(after).toBeGreaterThan(45);
    expect(after).toBeLessThan(90);
    // Twice the bytes are twice the work; other parts are something else.
    expect(jobHistory.estimateS(spec, { ...upload, bytes: 1_280_000 })).toBeCloseTo(2 * after, 6);

    const { queue, objects } = bench;
    const submit = createSubmitJob({
      region,
      queue,
      objects,
      speech: {
        prepare: () => {
          throw new Error("nothing is spoken here");
        },
      },
      jobHistory,
    });
    await bench.putUpload(spec, new Uint8Array(upload.bytes));
    await submit(spec);
    expect((await queue.load()).computeS).toBeCloseTo(after, 2);
  });

  test("is not lost when workers tell of it at the same time", async () => {
    await empty();
    const workers = [1, 2, 3].map(() => createJobHistory({ redis: bench.client }));
    for (const [n, worker] of workers.entries()) {
      worker.observe(jobSpec({ parts: [(["features", "age", "sex"] as const)[n]!] }), ran);
    }
    await Promise.all(workers.map((worker) => worker.exchange()));
    await Promise.all(workers.map((worker) => worker.exchange()));
    const json = JSON.parse((await bench.client.hget(resultKeys.history, "json"))!);
    expect(Object.keys(json.compute.rates).toSorted()).toEqual([
      "",
      "analysis|age|",
      "analysis|features|",
      "analysis|sex|",
    ]);
  });

  test("is learnt anew when what was kept of it is damaged", async () => {
    await empty();
    const history = createJobHistory({ redis: bench.client });
    const fresh = history.estimateS(jobSpec(), upload);
    await bench.client.hset(resultKeys.history, { v: "7", json: '{"compute": 5' });
    await history.exchange();
    expect(history.estimateS(jobSpec(), upload)).toBe(fresh);
    history.observe(jobSpec(), ran);
    expect(await history.exchange()).toBe(true);
    expect(history.estimateS(jobSpec(), upload)).toBeGreaterThan(fresh);
  });
});

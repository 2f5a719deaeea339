import { Hono } from "hono";
import { afterAll, beforeAll, expect, test } from "vitest";
import { JobChange } from "../../../shared/contracts/job-events.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { Problem, problemResponse } from "../../../shared/errors/problem.ts";
import type { ApiEnv } from "../../../regions/api/api-context.ts";
import { createEventRoutes } from "../../../regions/api/event-routes.ts";
import { failed } from "../../../regions/queue/completion.ts";
import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import type { Queue } from "../../../regions/queue/queue-port.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { untilReachable } from "../queue/until-reachable.ts";

const REGION = "us-east";
let redis: TestRedis;
let queue: Queue;

beforeAll(async () => {
  redis = await startRedis();
  queue = createRedisQueue({ url: redis.url, region: REGION });
  await untilReachable(queue);
}, 30_000);

afterAll(async () => {
  await queue.close();
  await redis.close();
});

/** The routes behind what reads and checks a request elsewhere. */
function open(options: { maxWatchers?: number; eventBeatMs?: number } = {}) {
  const app = new Hono<ApiEnv>();
  app.onError((error) => problemResponse(error, "req_test"));
  app.use(async (c, next) => {
    c.set("body", await c.req.text());
    await next();
  });
  app.route("/", createEventRoutes({ queue, ...options }));
  return (spec: JobSpec, more: { after?: number; tenant?: string; signal?: AbortSignal } = {}) => {
    const { after = 0, tenant = spec.tenant_id, signal } = more;
    const body = { job_id: spec.id, tenant_id: tenant, after_version: after };
    const init = { method: "POST", body: JSON.stringify(body), ...(signal ? { signal } : {}) };
    return app.request(new Request("http://region.test/internal/jobs/events", init));
  };
}

/** Reads line by line; "" is a sign of life. */
function readLines(response: Response) {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  async function line(): Promise<string | undefined> {
    while (!text.includes("\n")) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      text += value;
    }
    const at = text.indexOf("\n");
    const found = text.slice(0, at);
    text = text.slice(at + 1);
    return found;
  }
  async function change(): Promise<JobChange | undefined> {
    for (;;) {
      const next = await line();
      if (next === undefined) return undefined;
      if (next !== "") return JobChange.parse(JSON.parse(next));
    }
  }
  return { line, change, leave: () => reader.cancel() };
}

test("a job's changes come as they happen, each newer than the one before, and later ones to who comes later", async () => {
  const watch = open();
  const spec = jobSpec();
  await queue.submit(spec);
  const lines = readLines(await watch(spec));
  const first = await lines.change();
  expect(first!.state).toMatchObject({ status: "queued", queue_position: 0 });
  const run = (await queue.claim({ workerId: "w1", signal: AbortSignal.timeout(30_000) }))!;
  const second = await lines.change();
  expect(second!.state).toMatchObject({ status: "running", epoch: { dispatch: 1, attempt: 1 } });
  expect(second!.version).toBeGreaterThan(first!.version);
  const late = readLines(await watch(spec, { after: second!.version }));
  // A sign of life at once, though there is nothing new.
  expect(await late.line()).toBe("");
  await queue.progress(run, 0.25);
  expect((await lines.change())!.state.progress).toBe(0.25);
  expect((await late.change())!.state.progress).toBe(0.25);
  // Offered is not ended.
  await queue.finish(run, failed({ ...run, region: REGION, finishedAtMs: 0, code: "internal" }));
  expect((await lines.change())?.state.status).toBe("running");
  await Promise.all([lines.leave(), late.leave()]);
});

test("a quiet job's region shows that it is there", async () => {
  const spec = jobSpec();
  await queue.submit(spec);
  const lines = readLines(await open({ eventBeatMs: 10 })(spec));
  await lines.change();
  expect(await lines.line()).toBe("");
  expect(await lines.line()).toBe("");
  await lines.leave();
});

test("only its own tenant watches a job, and a watcher that leaves makes room, whichever way it leaves", async () => {
  const watch = open({ maxWatchers: 1 });
  const spec = jobSpec();
  await queue.submit(spec);
  const codeOf = async (answer: Response) => Problem.parse(await answer.json()).code;
  expect(await codeOf(await watch(spec, { tenant: "ten_other" }))).toBe("job_not_found");
  expect(await codeOf(await watch(jobSpec()))).toBe("job_not_found");
  const lines = readLines(await watch(spec));
  await lines.change();
  expect(await codeOf(await watch(spec))).toBe("system_busy");
  await lines.leave();
  const cut = new AbortController();
  expect((await watch(spec, { signal: cut.signal })).status).toBe(200);
  expect(await codeOf(await watch(spec))).toBe("system_busy");
  cut.abort();
  const last = await watch(spec);
  expect(last.status).toBe(200);
  await last.body!.cancel();
});

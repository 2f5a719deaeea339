import { createExecutionContext } from "cloudflare:test";
import { Hono } from "hono";
import { expect, test } from "vitest";
import { requireScope } from "../../edge/admit/authenticate.ts";
import { streamJobEvents } from "../../edge/calls/job-events.ts";
import type { EdgeHono } from "../../edge/context.ts";
import { Job } from "../../shared/contracts/api.ts";
import { JobEventState } from "../../shared/contracts/job-events.ts";
import { SpeechJobAccepted } from "../../shared/contracts/speech-jobs.ts";
import { ApiError, problemResponse } from "../../shared/errors/problem.ts";
import { offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, NEAR_DUBLIN, newTenant, startEdge } from "./support/start-edge.ts";

const WATCH = "POST /internal/jobs/events";
const encoder = new TextEncoder();

interface Told {
  id?: string;
  event?: string;
  data?: unknown;
}

/** Reads server-sent events one by one; comments and `retry` are passed over. */
function readEvents(response: Response) {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    async next(): Promise<Told | "end"> {
      for (;;) {
        const at = text.indexOf("\n\n");
        if (at < 0) {
          const { done, value } = await reader.read();
          if (done) return "end";
          text += value;
          continue;
        }
        const lines = text.slice(0, at).split("\n");
        text = text.slice(at + 2);
        const fields = new Map(lines.map((line) => line.split(/: (.*)/) as [string, string]));
        const data = fields.get("data");
        if (data === undefined) continue;
        return { id: fields.get("id")!, event: fields.get("event")!, data: JSON.parse(data) };
      }
    },
    leave: () => reader.cancel(),
  };
}

async function ready() {
  const edge = startEdge();
  const { regions, call } = edge;
  const tenant = newTenant("events");
  const key = await regions.addKey({ tenant_id: tenant, scopes: ["speak"] });
  const watchers: {
    region: string;
    after: unknown;
    tell(change: unknown): void;
    end(): void;
    left: Promise<void>;
  }[] = [];
  regions.on(WATCH, ({ region, body }) => {
    const left = Promise.withResolvers<void>();
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(encoder.encode("\n"));
        watchers.push({
          region,
          after: body["after_version"],
          tell: (change) => controller.enqueue(encoder.encode(`${JSON.stringify(change)}\n`)),
          end: () => controller.close(),
          left: left.promise,
        });
      },
      cancel: () => left.resolve(),
    });
    return new Response(stream);
  });

  /** A job that was accepted by eu-west. */
  async function accept(): Promise<{ id: string; tenant_id: string }> {
    const answer = await call("/v1/audio/speech/async", {
      key,
      body: { input: "Hello." },
      cf: NEAR_DUBLIN,
    });
    return { id: SpeechJobAccepted.parse(await answer.json()).job_id, tenant_id: tenant };
  }
  const finish = (job: { id: string; tenant_id: string }) =>
    shardOf(job).complete([offerOf(job, { dispatch: 1, attempt: 1 }, { region: "eu-west" })]);
  const follow = (id: string, headers: Record<string, string> = {}) =>
    call(`/v1/jobs/${id}/events`, { key, headers });
  /** The n-th time that a region was asked to tell of a job. */
  const watcher = async (n = 0) => {
    await expect.poll(() => watchers.length).toBeGreaterThan(n);
    return watchers[n]!;
  };
  return { ...edge, key, accept, finish, follow, watcher };
}

const running = (version: number, progress?: number, status = "running") => ({
  version,
  state: {
    status,
    epoch: { dispatch: 1, attempt: 1 },
    started_at: "2026-11-21T10:00:00.000Z",
    ...(progress === undefined ? {} : { progress }),
  },
});

test("a job is followed from the queue to its result, and ends for nobody before the ledger says so", async () => {
  const { accept, follow, finish, watcher } = await ready();
  const job = await accept();
  const answer = await follow(job.id);
  expect(answer.headers.get("content-type")).toBe("text/event-stream");
  const events = readEvents(answer);
  const region = await watcher();
  expect(region).toMatchObject({ region: "eu-west", after: 0 });
  const queued = { status: "queued", epoch: { dispatch: 1, attempt: 0 }, queue_position: 3 };
  region.tell({ version: 1, state: queued });
  const first = (await events.next()) as Told;
  expect(first).toMatchObject({
    id: "1.1",
    event: "status",
    data: { id: job.id, status: "queued", queue_position: 3 },
  });
  JobEventState.parse(first.data);
  region.tell(running(2));
  expect(await events.next()).toMatchObject({ id: "1.2", event: "status", data: { attempt: 1 } });
  region.tell(running(3, 0.5));
  expect(await events.next()).toMatchObject({
    id: "1.3",
    event: "progress",
    data: { progress: 0.5 },
  });
  // Its region may take it for ended, the ledger does not yet.
  region.tell(running(4, 0.6, "succeeded"));
  expect(await events.next()).toMatchObject({ event: "progress", data: { status: "running" } });
  region.end();
  await finish(job);
  const last = (await events.next()) as Told;
  expect(last).toMatchObject({ id: "1.final", event: "result" });
  expect(Job.parse(last.data)).toMatchObject({ id: job.id, status: "succeeded" });
  expect(await events.next()).toBe("end");
});

test("who comes back goes on after the last event, and is told when nothing more will come", async () => {
  const { accept, follow, finish, watcher } = await ready();
  const job = await accept();
  const events = readEvents(await follow(job.id, { "last-event-id": "1.7" }));
  const region = await watcher();
  expect(region.after).toBe(7);
  region.tell(running(8, 0.9));
  expect(await events.next()).toMatchObject({ id: "1.8", data: { progress: 0.9 } });
  await events.leave();
  await finish(job);
  const late = readEvents(await follow(job.id, { "last-event-id": "1.8" }));
  expect(await late.next()).toMatchObject({ id: "1.final", event: "result" });
  expect((await follow(job.id, { "last-event-id": "1.final" })).status).toBe(204);
  // Of an older dispatch, or none of ours: from the beginning.
  for (const id of ["9.4", "; drop", "1.-5"]) {
    const again = readEvents(await follow((await accept()).id, { "last-event-id": id }));
    await again.leave();
  }
  expect([(await watcher(1)).after, (await watcher(2)).after, (await watcher(3)).after]).toEqual([
    0, 0, 0,
  ]);
});

test("while the region is away its job waits for it, and the ledger's final state is told all the same", async () => {
  const { accept, follow, finish, regions } = await ready();
  const job = await accept();
  regions.on("POST /internal/results/read", () => {
    throw new ApiError("dependency_unavailable");
  });
  regions.down.add("eu-west");
  const events = readEvents(await follow(job.id));
  expect(await events.next()).toMatchObject({
    id: "1.0",
    event: "status",
    data: { status: "queued", waiting_for: "region" },
  });
  await finish(job);
  expect(await events.next()).toMatchObject({ event: "result", data: { status: "succeeded" } });
  expect(await events.next()).toBe("end");
});

test("a client that leaves takes all with it: its region's stream ends, and its place is free", async () => {
  const { accept, watcher, services, key, bindings } = await ready();
  const { id } = await accept();
  const app = new Hono<EdgeHono>();
  const limits = { perTenant: 1, total: 1 };
  const handler = streamJobEvents(services, { limits, heartbeatMs: 10 });
  app.onError((error) => problemResponse(error, "req_test"));
  app.get("/v1/jobs/:id/events", requireScope(services, "speak"), handler);
  const follow = async () =>
    app.request(
      `/v1/jobs/${id}/events`,
      { headers: { authorization: `Bearer ${key}` } },
      bindings,
      createExecutionContext(),
    );

  const reader = (await follow()).body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes(": still here")) text += (await reader.read()).value ?? "";
  expect(text).toContain("retry: 2000");
  expect((await follow()).status).toBe(429);
  const region = await watcher();
  await reader.cancel();
  await region.left;
  const again = await follow();
  expect(again.status).toBe(200);
  await again.body!.cancel();
  // Sooner than the silence of a region would end its stream.
}, 10_000);

test("another tenant's job has no events, and too many streams at once are refused", async () => {
  const { accept, follow, call, regions } = await ready();
  const { id } = await accept();
  const stranger = await regions.addKey({ tenant_id: newTenant("events"), scopes: ["speak"] });
  expect(await codeOf(await call(`/v1/jobs/${id}/events`, { key: stranger }))).toBe(
    "job_not_found",
  );
  const open = await Promise.all(Array.from({ length: 50 }, () => follow(id)));
  const refused = await follow(id);
  expect(refused.headers.get("retry-after")).toBe("5");
  expect(await codeOf(refused)).toBe("too_many_in_flight");
  await Promise.all(open.map(({ body }) => body!.cancel()));
  const again = await follow(id);
  expect(again.status).toBe(200);
  await again.body!.cancel();
});

import { Hono } from "hono";
import { EVENT_BEAT_MS, JobChange, WatchJob } from "../../shared/contracts/job-events.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { QueueUnreachableError, type Queue } from "../queue/queue-port.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";

export interface EventRoutesParts {
  queue: Pick<Queue, "state" | "watch">;
  /** Jobs that are watched at once; further watchers are told to come back. */
  maxWatchers?: number;
  /** Silence after which an empty line shows that the region is there. */
  eventBeatMs?: number;
}

const encoder = new TextEncoder();

/** `POST /internal/jobs/events`: the changes of one job as they come, until it has ended here or the edge leaves. */
export function createEventRoutes(parts: EventRoutesParts): Hono<ApiEnv> {
  const { queue, maxWatchers = 2_000, eventBeatMs = EVENT_BEAT_MS } = parts;
  let watchers = 0;

  return new Hono<ApiEnv>().post("/internal/jobs/events", async (c) => {
    const { job_id, tenant_id, after_version } = parseBody(c, WatchJob);
    const found = await queue.state(job_id).catch((error: unknown) => {
      if (!(error instanceof QueueUnreachableError)) throw error;
      throw new ApiError("dependency_unavailable", "The queue is away.", { cause: error });
    });
    if (found?.tenantId !== tenant_id) throw new ApiError("job_not_found");
    if (watchers >= maxWatchers) {
      throw new ApiError("system_busy", "As many jobs as can be are being watched.");
    }
    watchers += 1;
    const leaving = new AbortController();
    let left = false;
    function leave(): void {
      if (left) return;
      left = true;
      watchers -= 1;
      c.req.raw.signal.removeEventListener("abort", leave);
      leaving.abort();
    }
    // Hono tells of a connection that was cut here, of a body that nobody reads any more by `cancel`.
    c.req.raw.signal.addEventListener("abort", leave);
    if (c.req.raw.signal.aborted) leave();

    const options = { afterVersion: after_version, signal: leaving.signal };
    const changes = queue.watch(job_id, options)[Symbol.asyncIterator]();
    let next: ReturnType<typeof changes.next> | undefined;
    let begun = false;
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          // At once, so that the edge knows that it is heard.
          if (!begun) {
            begun = true;
            controller.enqueue(encoder.encode("\n"));
            return;
          }
          next ??= changes.next();
          let timer: NodeJS.Timeout | undefined;
          const beat = new Promise<"beat">((resolve) => {
            timer = setTimeout(() => resolve("beat"), eventBeatMs);
          });
          try {
            const change = await Promise.race([next, beat]);
            if (change === "beat") {
              controller.enqueue(encoder.encode("\n"));
              return;
            }
            next = undefined;
            if (change.done === true) {
              leave();
              controller.close();
              return;
            }
            const { version, state } = change.value;
            const line = JSON.stringify(JobChange.parse({ version, state }));
            controller.enqueue(encoder.encode(`${line}\n`));
          } catch (error) {
            leave();
            controller.error(error);
          } finally {
            clearTimeout(timer);
          }
        },
        cancel: leave,
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
  });
}

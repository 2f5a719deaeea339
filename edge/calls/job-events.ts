import { createSlots, type SlotLimits } from "../admit/slots.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import { describeError, log } from "../ops/log.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl } from "./answer.ts";
import { createFindJob } from "./find-job.ts";
import { createFollowJob, finalEventId, type JobEvent } from "./follow-job.ts";

export interface JobEventsOptions {
  limits?: SlotLimits;
  /** A comment goes out so often, so that nothing between takes the connection for dead. */
  heartbeatMs?: number;
  /** After this the stream ends, and its client goes on from the last event. */
  lifeMs?: number;
}

/** What a client that lost its stream waits before it comes back. */
const RETRY_MS = 2_000;
const encoder = new TextEncoder();

/** `GET /v1/jobs/{id}/events`: server-sent events until the job is final; see follow-job.ts. */
export function streamJobEvents(services: EdgeServices, options: JobEventsOptions = {}) {
  const { config } = services;
  const findJob = createFindJob(services);
  const { limits = { perTenant: 50, total: 500 }, heartbeatMs = 15_000 } = options;
  const { lifeMs = 15 * 60_000 } = options;
  const takeSlot = createSlots(limits);
  const followJob = createFollowJob(services);

  return async (c: EdgeContext): Promise<Response> => {
    const { tenant_id } = c.get("caller").key;
    const job = await findJob(c, c.req.param("id"));
    const lastEventId = c.req.header("last-event-id");
    if (job.state === "final" && lastEventId === finalEventId(job)) {
      // An EventSource comes back after the end, unless it is told so.
      return new Response(null, { status: 204 });
    }
    const leaveSlot = takeSlot(tenant_id);
    const gone = new AbortController();
    const leave = () => gone.abort();
    c.req.raw.signal.addEventListener("abort", leave);
    const life = setTimeout(leave, lifeMs);
    let heartbeat: ReturnType<typeof setInterval> | null = null;

    function end(): void {
      c.req.raw.signal.removeEventListener("abort", leave);
      clearTimeout(life);
      clearInterval(heartbeat);
      gone.abort();
      leaveSlot();
    }

    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        const send = (text: string) => {
          if (!gone.signal.aborted) controller.enqueue(encoder.encode(text));
        };
        send(`retry: ${RETRY_MS}\n\n`);
        heartbeat = setInterval(() => send(": still here\n\n"), heartbeatMs);
        followJob({
          job,
          lastEventId,
          base: baseUrl(c, config.publicUrl),
          trace: traceOf(c),
          signal: gone.signal,
          tell: (event) => send(written(event)),
        })
          .catch((error: unknown) =>
            log("warn", "following a job failed", {
              job_id: job.draft.id,
              error: describeError(error),
            }),
          )
          .finally(() => {
            end();
            // Already closed where the client left.
            try {
              controller.close();
            } catch {}
          });
      },
      cancel: end,
    });
    return new Response(body, {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      },
    });
  };
}

/** JSON has no line breaks of its own, so one `data` line holds it. */
const written = ({ id, event, data }: JobEvent): string =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

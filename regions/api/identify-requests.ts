import { createMiddleware } from "hono/factory";
import { routePath } from "hono/route";
import { systemIdSource } from "../../shared/contracts/ids.ts";
import { uuidv7 } from "../../shared/contracts/uuidv7.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { ApiEnv } from "./api-context.ts";
import { commonHeaders } from "./common-headers.ts";

/** Gives each request an id (the edge's own, when it sent one), a line in the log and its metrics. */
export function identifyRequests(logger: Logger, metrics: Metrics) {
  const requests = metrics.counter("antiphon_api_requests_total", "Requests by route and status.");
  const seconds = metrics.histogram("antiphon_api_request_seconds", "Time to answer, by route.");

  // Each request has a line of plain figures: to look through them for secrets, and to make a child for its id, would double their cost.
  const lines = logger.child({}, { redact: [] });

  return createMiddleware<ApiEnv>(async (c, next) => {
    const given = c.req.header("x-request-id");
    const requestId =
      given !== undefined && /^[\w.:/+=@-]{1,128}$/.test(given)
        ? given
        : `req_${uuidv7(systemIdSource.now(), systemIdSource.randomBytes(10))}`;
    c.set("requestId", requestId);
    const start = performance.now();
    await next();
    if (!c.get("isHeaded")) {
      const all = Object.entries(commonHeaders(requestId));
      for (const [name, value] of all) c.res.headers.set(name, value);
    }
    const route = routePath(c, -1);
    const ms = performance.now() - start;
    const { status } = c.res;
    requests.inc({ route, status: String(status) });
    seconds.observe(ms / 1000, { route });
    const level = status >= 500 ? "warn" : "info";
    lines[level](
      {
        request_id: requestId,
        method: c.req.method,
        route,
        status,
        ms: Math.round(ms * 10) / 10,
        ...c.get("outcome"),
      },
      "answered",
    );
  });
}

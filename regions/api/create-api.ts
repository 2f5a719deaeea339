import { Hono } from "hono";
import { RegExpRouter } from "hono/router/reg-exp-router";
import { ApiError, problemResponse } from "../../shared/errors/problem.ts";
import { createNonceMemory } from "../../shared/signing/nonce-memory.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import { createOpsRoutes, type OpsRoutesOptions } from "../ops/ops-routes.ts";
import { createAdminRoutes, type AdminRoutesParts } from "./admin-routes.ts";
import type { ApiEnv } from "./api-context.ts";
import { createDeletionRoutes, type DeletionRoutesParts } from "./deletion-routes.ts";
import { identifyRequests } from "./identify-requests.ts";
import { createBatchRoutes } from "./batch-routes.ts";
import { createEventRoutes, type EventRoutesParts } from "./event-routes.ts";
import { createFinalJobRoutes } from "./final-job-routes.ts";
import { createJobRoutes, type JobRoutesParts } from "./job-routes.ts";
import { createDeadLetterRoutes, type DeadLetterRoutesParts } from "./dead-letter-routes.ts";
import { keepConsistency } from "./keep-consistency.ts";
import { createLoadRoutes, type LoadRoutesParts } from "./load-routes.ts";
import { createSpeechRoutes, type SpeechRoutesParts } from "./speech-routes.ts";
import { createModelRoutes, type ModelRoutesParts } from "./model-routes.ts";
import { createReportRoutes, type ReportRoutesParts } from "./report-routes.ts";
import { requireSignature } from "./require-signature.ts";
import {
  createCheckJobWebhook,
  createCheckTarget,
  createWebhookRoutes,
  type WebhookRoutesParts,
} from "./webhook-routes.ts";

export interface ApiParts
  extends
    JobRoutesParts,
    LoadRoutesParts,
    DeadLetterRoutesParts,
    AdminRoutesParts,
    DeletionRoutesParts,
    SpeechRoutesParts,
    ModelRoutesParts,
    ReportRoutesParts,
    WebhookRoutesParts {
  queue: JobRoutesParts["queue"] &
    LoadRoutesParts["queue"] &
    DeadLetterRoutesParts["queue"] &
    EventRoutesParts["queue"];
  objects: JobRoutesParts["objects"] & SpeechRoutesParts["objects"];
  speech: SpeechRoutesParts["speech"];
  /** Of the link to the edge; all verify. */
  linkSecrets: readonly string[];
  logger: Logger;
  metrics: Metrics;
  readiness: OpsRoutesOptions["readiness"];
  /** Unix ms. */
  now?: () => number;
}

/** The region's API. It speaks to the edge alone; only health and metrics answer without a signature. */
export function createApi(parts: ApiParts): Hono<ApiEnv> {
  const { region, linkSecrets, logger, metrics, readiness, now = Date.now } = parts;
  // By default Hono falls back to a slower router where routes overlap. This one refuses them instead.
  const app = new Hono<ApiEnv>({ router: new RegExpRouter() });
  app.onError((error, c) => {
    const requestId = c.get("requestId");
    const told = { request_id: requestId, err: error };
    if (!(error instanceof ApiError)) {
      logger.error(told, "a request failed");
    } else if (error.status >= 500) {
      logger.warn({ ...told, cause: describe(error.cause) }, "cannot serve a request");
    }
    return problemResponse(error, requestId);
  });
  app.notFound((c) => problemResponse(new ApiError("not_found"), c.get("requestId") ?? ""));

  // Probes are not worth a line in the log each, so they come before it.
  app.route("/", createOpsRoutes({ metrics, readiness }));
  app.use(identifyRequests(logger, metrics));
  app.use(
    "/internal/*",
    requireSignature({
      region: region.id,
      secrets: linkSecrets,
      isFresh: createNonceMemory(100_000, now),
      now,
    }),
  );
  app.use("/internal/*", keepConsistency);
  const checkWebhook = createCheckJobWebhook(parts.webhooks);
  const checkTarget = createCheckTarget(parts.webhooks);
  app.route("/", createBatchRoutes({ ...parts, checkWebhook }));
  app.route("/", createEventRoutes(parts));
  app.route("/", createFinalJobRoutes(parts));
  app.route("/", createJobRoutes({ ...parts, checkWebhook, checkTarget }));
  app.route("/", createLoadRoutes(parts));
  app.route("/", createDeadLetterRoutes(parts));
  app.route("/", createAdminRoutes(parts));
  app.route("/", createDeletionRoutes(parts));
  app.route("/", createReportRoutes(parts));
  app.route("/", createSpeechRoutes(parts));
  app.route("/", createModelRoutes(parts));
  app.route("/", createWebhookRoutes(parts));
  return app;
}

const describe = (cause: unknown) => (cause instanceof Error ? cause.message : undefined);

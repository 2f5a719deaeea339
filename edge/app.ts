import { Hono } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { routePath } from "hono/route";
import { ApiError, problemResponse } from "../shared/errors/problem.ts";
import { requireScope } from "./admit/authenticate.ts";
import { explainToOpenAiClients } from "./admit/openai-errors.ts";
import { requireApiKey } from "./admit/require-api-key.ts";
import { continueTrace, requestIdOf } from "./admit/request-id.ts";
import { applySecurityHeaders } from "./admit/security-headers.ts";
import { adminCalls } from "./calls/admin.ts";
import { createAnalysis } from "./calls/analyses.ts";
import { cancelJob } from "./calls/cancel-job.ts";
import { createSpeechJob } from "./calls/async-speech.ts";
import { createSpeechBatch, getBatch, getBatchManifest } from "./calls/batches.ts";
import { receiveCompletions } from "./calls/completions.ts";
import { deletionCalls } from "./calls/deletions.ts";
import { deadLetterCalls } from "./calls/dead-letters.ts";
import { streamJobEvents } from "./calls/job-events.ts";
import { getJob, listJobs } from "./calls/jobs.ts";
import { modelCalls } from "./calls/models.ts";
import { opsCalls } from "./calls/ops.ts";
import { primaryCalls } from "./calls/primary.ts";
import { referenceCalls } from "./calls/reference.ts";
import { getUsage, getUserHistory } from "./calls/reports.ts";
import { receiveSettled } from "./calls/settled.ts";
import { createSpeech, listVoices } from "./calls/speech.ts";
import { createTranscription } from "./calls/transcriptions.ts";
import { completeUpload, createUpload } from "./calls/uploads.ts";
import { webhookCalls } from "./calls/webhooks.ts";
import type { EdgeHono } from "./context.ts";
import { describeError, log } from "./ops/log.ts";
import type { EdgeServices } from "./services.ts";

/** The edge's HTTP interface, put together from its services. */
export function createApp(services: EdgeServices): Hono<EdgeHono> {
  const app = new Hono<EdgeHono>();

  // First, so that every answer has an id and the common headers, errors and unknown routes included:
  // they come back through here as responses.
  app.use(async (c, next) => {
    c.set("requestId", requestIdOf(c.req.raw));
    c.set("traceparent", continueTrace(c.req.raw));
    await next();
    c.res.headers.set("x-request-id", c.get("requestId"));
    const consistency = c.get("consistency");
    if (consistency !== undefined) c.res.headers.set("x-antiphon-consistency", consistency);
    applySecurityHeaders(c.res.headers);
    services.metrics.count("antiphon_edge_requests_total", {
      route: c.res.status === 404 && routePath(c, -1) === "/*" ? "none" : routePath(c, -1),
      status: String(c.res.status),
    });
  });

  // Before anything that asks for a key: a preflight carries none.
  app.use("/v1/*", services.cors);

  // Before the routes, because it turns their 404 into a 405 where another method exists. A handler's own
  // 404 is thrown, and therefore left alone.
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) =>
        problemResponse(
          new ApiError("method_not_allowed", undefined, { headers: { allow: methods.join(", ") } }),
          c.get("requestId"),
        ),
    }),
  );

  app.notFound((c) => problemResponse(new ApiError("not_found"), c.get("requestId")));
  app.onError((error, c) => {
    const requestId = c.get("requestId");
    if (!(error instanceof ApiError) || error.status >= 500) {
      const fields = { request_id: requestId, path: c.req.path, error: describeError(error) };
      log(error instanceof ApiError ? "warn" : "error", "a request failed", fields);
    }
    return problemResponse(error, requestId);
  });

  // The key is checked before a body is read, so that a stranger cannot make the edge work.
  const client = requireScope(services, "analyze");
  const speaker = requireScope(services, "speak");
  const operator = requireScope(services, "admin");
  // Of either kind of job.
  const owner = requireScope(services, ["analyze", "speak"]);

  app.post("/v1/uploads", client, createUpload(services));
  app.post("/v1/uploads/:id/complete", client, completeUpload(services));
  app.post("/v1/analyses", client, createAnalysis(services));
  app.get("/v1/usage", owner, getUsage(services));
  app.get("/v1/users/:user_id/analyses", client, getUserHistory(services));
  app.get("/v1/jobs", owner, listJobs(services));
  app.get("/v1/jobs/:id", owner, getJob(services));
  app.get("/v1/jobs/:id/events", owner, streamJobEvents(services));
  app.post("/v1/jobs/:id/cancel", owner, cancelJob(services));

  const deletions = deletionCalls(services);
  app.delete("/v1/jobs/:id", client, deletions.deleteJob);
  app.post("/v1/deletions", client, deletions.create);
  app.get("/v1/deletions/:id", client, deletions.read);
  app.get("/.well-known/jwks.json", deletions.keys);

  app.use("/v1/audio/speech", explainToOpenAiClients);
  app.use("/v1/audio/transcriptions", explainToOpenAiClients);
  app.post("/v1/audio/transcriptions", client, createTranscription(services));
  app.post("/v1/audio/speech", speaker, createSpeech(services));
  app.post("/v1/audio/speech/async", speaker, createSpeechJob(services));
  app.post("/v1/audio/speech/batch", speaker, createSpeechBatch(services));
  app.get("/v1/batches/:id", speaker, getBatch(services));
  app.get("/v1/batches/:id/manifest", speaker, getBatchManifest(services));
  app.get("/v1/voices", speaker, listVoices(services));

  const ops = opsCalls(services);
  app.get("/v1/regions", client, ops.regions);

  const models = modelCalls(services);
  app.use("/v1/models/*", explainToOpenAiClients);
  app.get("/v1/models", client, models.list);
  app.get("/v1/models/:id", client, models.get);

  const webhooks = webhookCalls(services);
  app.post("/v1/webhook-endpoints", owner, requireApiKey, webhooks.createEndpoint);
  app.get("/v1/webhook-endpoints", owner, webhooks.listEndpoints);
  app.get("/v1/webhook-endpoints/:id", owner, webhooks.getEndpoint);
  app.patch("/v1/webhook-endpoints/:id", owner, requireApiKey, webhooks.updateEndpoint);
  app.delete("/v1/webhook-endpoints/:id", owner, requireApiKey, webhooks.deleteEndpoint);
  app.post("/v1/webhook-endpoints/:id/rotate", owner, requireApiKey, webhooks.rotateEndpoint);
  app.post("/v1/webhook-secret/rotate", owner, requireApiKey, webhooks.rotateTenant);
  app.get("/v1/webhook-deliveries", owner, webhooks.listDeliveries);
  app.get("/v1/webhook-deliveries/:id", owner, webhooks.getDelivery);
  app.post("/v1/webhook-deliveries/:id/redeliver", owner, webhooks.redeliver);

  const admin = adminCalls(services);
  app.post("/v1/admin/tenants", operator, admin.createTenant);
  app.get("/v1/admin/tenants/:id", operator, admin.getTenant);
  app.patch("/v1/admin/tenants/:id", operator, admin.changeTenant);
  app.post("/v1/admin/keys", operator, admin.createKey);
  app.get("/v1/admin/keys", operator, admin.listKeys);
  app.post("/v1/admin/keys/:key_id/rotate", operator, admin.rotateKey);
  app.delete("/v1/admin/keys/:key_id", operator, admin.revokeKey);

  const deadLetters = deadLetterCalls(services);
  app.get("/v1/admin/dead-letters", operator, deadLetters.list);
  app.get("/v1/admin/dead-letters/:id", operator, deadLetters.get);
  app.post("/v1/admin/dead-letters/replay", operator, deadLetters.replay);
  app.post("/v1/admin/dead-letters/discard", operator, deadLetters.discard);

  const primary = primaryCalls(services);
  app.get("/v1/admin/primary", operator, primary.status);
  app.post("/v1/admin/primary", operator, primary.promote);

  // No key: the URL's own signature is the permit.
  app.get("/v1/audio/:region/:file", (c) =>
    services.deliverAudio(c.req.raw, (work) => c.executionCtx.waitUntil(work)),
  );

  // No key: signed by the region.
  app.post("/internal/completions", receiveCompletions(services));
  app.post("/internal/settled", receiveSettled(services));
  app.post("/internal/primary", primary.report);

  const reference = referenceCalls();
  app.get("/openapi.json", reference.openapi);
  app.get("/docs", reference.docs);
  app.get("/healthz", ops.alive);
  app.get("/readyz", ops.ready);
  app.get("/metrics", ops.metrics);

  return app;
}

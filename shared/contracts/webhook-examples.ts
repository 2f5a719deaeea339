import { exampleIds, type ApiExample } from "./api-example.ts";

const { job, endpoint, delivery, created_at, finished_at } = exampleIds;

const events = ["job.succeeded", "job.failed"];
const sent = {
  id: delivery,
  webhook_id: "msg_9f86d081884c7d659a2feaa0c55ad015",
  event: "job.succeeded",
  job_id: job,
  endpoint_id: endpoint,
  region: "us-east",
  status: "failed",
  attempts: 1,
  response_status: 401,
  error: "the endpoint answered 401",
  last_attempt_at: finished_at,
  next_attempt_at: null,
  created_at: finished_at,
};

/** For a server on Node that takes the events; with the npm package standardwebhooks, as for other languages. */
const RECEIVE = `import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);

const server = createServer(async (request, response) => {
  try {
    // Throws unless one of the signatures is right and the time is not long ago. It needs the body as it came.
    const { type, data } = webhook.verify(await text(request), request.headers);
    console.log(type, data.job_id);
    response.writeHead(204).end();
  } catch {
    response.writeHead(400).end();
  }
});
server.listen(process.env.PORT ?? 8080);`;

/** Of the calls about webhooks. */
export const webhookExamples: readonly ApiExample[] = [
  {
    operationId: "createWebhookEndpoint",
    method: "POST",
    path: "/v1/webhook-endpoints",
    headers: { "idempotency-key": "endpoint-1" },
    json: { url: "https://acme.example/antiphon", events, include_result: true },
    answer: {
      status: 201,
      body: {
        id: endpoint,
        url: "https://acme.example/antiphon",
        events,
        include_result: true,
        status: "active",
        status_reason: null,
        status_since: created_at,
        created_at,
        secret: "whsec_…",
      },
    },
    program: { title: "A server that takes the events, and verifies them", text: RECEIVE },
  },
  {
    operationId: "rotateWebhookEndpointSecret",
    method: "POST",
    path: `/v1/webhook-endpoints/${endpoint}/rotate`,
    headers: { "idempotency-key": "rotate-1" },
    json: { overlap_s: 3_600 },
    answer: {
      status: 200,
      body: { secret: "whsec_…", previous_expire_at: "2026-01-05T10:30:00.000Z" },
    },
  },
  {
    operationId: "rotateWebhookSecret",
    method: "POST",
    path: "/v1/webhook-secret/rotate",
    headers: { "idempotency-key": "rotate-2" },
    json: { overlap_s: 0 },
    answer: { status: 200, body: { secret: "whsec_…", previous_expire_at: created_at } },
  },
  {
    operationId: "listWebhookDeliveries",
    method: "GET",
    path: `/v1/webhook-deliveries?endpoint_id=${endpoint}&status=failed`,
    answer: { status: 200, body: { data: [sent], next_cursor: null } },
  },
  {
    operationId: "redeliverWebhook",
    method: "POST",
    path: `/v1/webhook-deliveries/${delivery}/redeliver`,
    answer: {
      status: 202,
      body: { ...sent, status: "pending", next_attempt_at: "2026-01-05T10:00:00.000Z" },
    },
  },
];

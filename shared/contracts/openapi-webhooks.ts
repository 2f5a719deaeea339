import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { BODY_ERRORS, call, headers, idempotent, json, KEY_ERRORS } from "./openapi-call.ts";
import {
  CreatedWebhookEndpoint,
  CreateWebhookEndpoint,
  DeletedWebhookEndpoint,
  ListWebhookDeliveries,
  RotatedWebhookSecret,
  RotateWebhookSecret,
  UpdateWebhookEndpoint,
  WebhookDelivery,
  WebhookDeliveryId,
  WebhookDeliveryList,
  WebhookEndpoint,
  WebhookEndpointId,
  WebhookEndpointList,
  WebhookPayload,
} from "./webhooks.ts";

const tags = ["Webhooks"];
const NEEDS_KEY = "Needs an API key: a token (JWT) may not do this.";
const endpointPath = z.object({ id: WebhookEndpointId });
const deliveryPath = z.object({ id: WebhookDeliveryId });

/** The calls about webhooks; a part of the API's description. */
export const webhookPaths: ZodOpenApiPathsObject = {
  "/v1/webhook-endpoints": {
    post: call(
      {
        operationId: "createWebhookEndpoint",
        summary: "Have events of jobs sent to a URL",
        tags,
        description: `Signed by Standard Webhooks (\`webhook-id\`, \`webhook-timestamp\`, \`webhook-signature\`). An event comes at least once, and by the same \`webhook-id\` each time. It is tried for 72 hours with growing pauses; 2xx is done, 4xx stops except 408 and 429, redirects are not followed, 410 disables the endpoint. One that only fails for 12 hours is paused. ${NEEDS_KEY}`,
        requestParams: { header: headers(idempotent) },
        requestBody: { required: true, content: json(CreateWebhookEndpoint) },
        callbacks: {
          event: {
            "{$request.body#/url}": {
              post: {
                operationId: "onWebhookEvent",
                requestBody: { content: json(WebhookPayload) },
                responses: { "200": { description: "It was taken" } },
              },
            },
          },
        },
      },
      [
        {
          status: 201,
          description: "The endpoint, and its secret once",
          content: json(CreatedWebhookEndpoint),
        },
      ],
      [...KEY_ERRORS, ...BODY_ERRORS],
    ),
    get: call(
      {
        operationId: "listWebhookEndpoints",
        summary: "List webhook endpoints",
        tags,
        requestParams: { header: headers() },
      },
      [{ status: 200, description: "All of them", content: json(WebhookEndpointList) }],
      KEY_ERRORS,
    ),
  },
  "/v1/webhook-endpoints/{id}": {
    get: call(
      {
        operationId: "getWebhookEndpoint",
        summary: "Get a webhook endpoint",
        tags,
        requestParams: { path: endpointPath, header: headers() },
      },
      [{ status: 200, description: "The endpoint", content: json(WebhookEndpoint) }],
      [...KEY_ERRORS, "not_found"],
    ),
    patch: call(
      {
        operationId: "updateWebhookEndpoint",
        summary: "Change, pause or resume a webhook endpoint",
        tags,
        description: NEEDS_KEY,
        requestParams: { path: endpointPath, header: headers() },
        requestBody: { required: true, content: json(UpdateWebhookEndpoint) },
      },
      [{ status: 200, description: "The endpoint", content: json(WebhookEndpoint) }],
      [
        ...KEY_ERRORS,
        "invalid_request",
        "malformed_json",
        "unsupported_media_type",
        "body_too_large",
        "not_found",
      ],
    ),
    delete: call(
      {
        operationId: "deleteWebhookEndpoint",
        summary: "Delete a webhook endpoint; what waits for it is not sent",
        tags,
        description: NEEDS_KEY,
        requestParams: { path: endpointPath, header: headers() },
      },
      [{ status: 200, description: "It is gone", content: json(DeletedWebhookEndpoint) }],
      [...KEY_ERRORS, "not_found"],
    ),
  },
  "/v1/webhook-endpoints/{id}/rotate": {
    post: call(
      {
        operationId: "rotateWebhookEndpointSecret",
        summary: "Give an endpoint a new secret; the one before signs too for a while",
        tags,
        description: NEEDS_KEY,
        requestParams: { path: endpointPath, header: headers(idempotent) },
        requestBody: { required: false, content: json(RotateWebhookSecret) },
      },
      [{ status: 200, description: "The secret, once", content: json(RotatedWebhookSecret) }],
      [...KEY_ERRORS, ...BODY_ERRORS, "not_found"],
    ),
  },
  "/v1/webhook-secret/rotate": {
    post: call(
      {
        operationId: "rotateWebhookSecret",
        summary: "Make or replace the secret that signs for the `webhook_url` of jobs",
        tags,
        description: NEEDS_KEY,
        requestParams: { header: headers(idempotent) },
        requestBody: { required: false, content: json(RotateWebhookSecret) },
      },
      [{ status: 200, description: "The secret, once", content: json(RotatedWebhookSecret) }],
      [...KEY_ERRORS, ...BODY_ERRORS, "not_found"],
    ),
  },
  "/v1/webhook-deliveries": {
    get: call(
      {
        operationId: "listWebhookDeliveries",
        summary: "List deliveries that were tried, those of the newest jobs first",
        tags,
        requestParams: { query: ListWebhookDeliveries, header: headers() },
      },
      [{ status: 200, description: "One page", content: json(WebhookDeliveryList) }],
      [...KEY_ERRORS, "invalid_request"],
    ),
  },
  "/v1/webhook-deliveries/{id}": {
    get: call(
      {
        operationId: "getWebhookDelivery",
        summary: "Get a delivery",
        tags,
        requestParams: { path: deliveryPath, header: headers() },
      },
      [{ status: 200, description: "The delivery", content: json(WebhookDelivery) }],
      [...KEY_ERRORS, "not_found"],
    ),
  },
  "/v1/webhook-deliveries/{id}/redeliver": {
    post: call(
      {
        operationId: "redeliverWebhook",
        summary: "Send an event again, by the same `webhook-id`",
        tags,
        requestParams: { path: deliveryPath, header: headers(idempotent) },
      },
      [{ status: 202, description: "It will be sent", content: json(WebhookDelivery) }],
      [
        ...KEY_ERRORS,
        "not_found",
        "webhook_endpoint_stopped",
        "region_unavailable",
        "idempotency_key_reused",
        "request_in_progress",
        "invalid_request",
      ],
    ),
  },
};

import { z } from "zod";
import { AnalysisResult } from "./analysis-result.ts";
import { JobId, TenantId } from "./ids.ts";
import { FinalStatus, JobError, Metadata, UserId } from "./job.ts";
import { WebhookUrl } from "./webhook-url.ts";

/** What a webhook tells of. */
export const WebhookEventType = z
  .enum(["job.succeeded", "job.failed", "job.canceled"])
  .meta({ id: "WebhookEventType" });
export type WebhookEventType = z.infer<typeof WebhookEventType>;

/** `whe_<24 hex digits>`: minted by the edge. */
export const WebhookEndpointId = z
  .string()
  .regex(/^whe_[0-9a-f]{24}$/, "is not the id of a webhook endpoint")
  .meta({ id: "WebhookEndpointId" });

/** `whd_<region code>_<32 hex digits>`: the region that delivers, and what follows from job, event and target. */
export const WebhookDeliveryId = z
  .string()
  .regex(/^whd_[a-z]{3}_[0-9a-f]{32}$/, "is not the id of a delivery")
  .meta({ id: "WebhookDeliveryId" });

/** The body of a delivery. Its `webhook-id` header stays the same however often it comes. */
export const WebhookPayload = z
  .strictObject({
    type: WebhookEventType,
    /** When it happened, not when it was sent. */
    timestamp: z.iso.datetime(),
    data: z.strictObject({
      job_id: JobId,
      kind: z.string(),
      status: FinalStatus,
      region: z.string(),
      /** Where to read the job and its result. */
      job_url: z.string(),
      created_at: z.iso.datetime(),
      started_at: z.iso.datetime(),
      finished_at: z.iso.datetime(),
      audio_duration_s: z.number().optional(),
      cost_usd: z.number(),
      user_id: UserId.optional(),
      metadata: Metadata.optional(),
      error: JobError.optional(),
      /** Where it was asked for, and is small enough. */
      result: AnalysisResult.optional(),
      /** Why a result that was asked for is not here. */
      result_omitted: z.enum(["too_large", "not_readable"]).optional(),
    }),
  })
  .meta({ id: "WebhookPayload" });
export type WebhookPayload = z.infer<typeof WebhookPayload>;

export const WebhookEndpointStatus = z.enum(["active", "paused", "disabled"]).meta({
  description:
    "`paused`: nothing is sent until it is made active; what happens meanwhile waits up to 72 hours. `disabled`: it answered 410.",
});
export type WebhookEndpointStatus = z.infer<typeof WebhookEndpointStatus>;

const events = z
  .array(WebhookEventType)
  .min(1)
  .max(WebhookEventType.options.length)
  .transform((all) => [...new Set(all)]);
const includeResult = z.boolean().meta({ description: "Results up to 256 KiB go with the event" });

/** `POST /v1/webhook-endpoints` */
export const CreateWebhookEndpoint = z
  .strictObject({
    url: WebhookUrl,
    events: events.default(WebhookEventType.options),
    include_result: includeResult.default(false),
  })
  .meta({ id: "CreateWebhookEndpoint" });

/** `PATCH /v1/webhook-endpoints/{id}`; what is left out stays. */
export const UpdateWebhookEndpoint = z
  .strictObject({
    url: WebhookUrl.optional(),
    events: events.optional(),
    include_result: includeResult.optional(),
    status: z.enum(["active", "paused"]).optional(),
  })
  .meta({ id: "UpdateWebhookEndpoint" });

export const WebhookEndpoint = z
  .strictObject({
    id: WebhookEndpointId,
    url: z.string(),
    events: z.array(WebhookEventType),
    include_result: z.boolean(),
    status: WebhookEndpointStatus,
    /** Why and since when it is paused or disabled. */
    status_reason: z.string().nullable(),
    status_since: z.iso.datetime(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: "WebhookEndpoint" });
export type WebhookEndpoint = z.infer<typeof WebhookEndpoint>;

export const WebhookEndpointList = z
  .strictObject({ data: z.array(WebhookEndpoint), next_cursor: z.null() })
  .meta({ id: "WebhookEndpointList" });

const secret = z.string().meta({ description: "`whsec_…`; shown in this answer alone" });

export const CreatedWebhookEndpoint = WebhookEndpoint.extend({ secret }).meta({
  id: "CreatedWebhookEndpoint",
});

/** Endpoints of one tenant, at most. */
export const MAX_WEBHOOK_ENDPOINTS = 20;

/** `POST …/rotate`: for how long the secrets before this one sign too. */
export const RotateWebhookSecret = z
  .strictObject({
    overlap_s: z
      .int()
      .min(0)
      .max(7 * 86_400)
      .default(86_400),
  })
  .meta({ id: "RotateWebhookSecret" });

export const RotatedWebhookSecret = z
  .strictObject({ secret, previous_expire_at: z.iso.datetime() })
  .meta({ id: "RotatedWebhookSecret" });
export type RotatedWebhookSecret = z.infer<typeof RotatedWebhookSecret>;

/**
 * `pending`: tried, and to be tried again. `held`: waits for its endpoint to be made active. `failed`: given up. `canceled`: its
 * endpoint is gone.
 */
export const WebhookDeliveryStatus = z
  .enum(["pending", "held", "delivered", "failed", "canceled"])
  .meta({ id: "WebhookDeliveryStatus" });
export type WebhookDeliveryStatus = z.infer<typeof WebhookDeliveryStatus>;

export const WebhookDelivery = z
  .strictObject({
    id: WebhookDeliveryId,
    /** The header `webhook-id`. */
    webhook_id: z.string(),
    event: WebhookEventType,
    job_id: JobId,
    /** Null for a job's own `webhook_url`. */
    endpoint_id: WebhookEndpointId.nullable(),
    region: z.string(),
    status: WebhookDeliveryStatus,
    attempts: z.int(),
    /** Of the last try; null where nothing answered. */
    response_status: z.int().nullable(),
    /** What was wrong with the last try. */
    error: z.string().nullable(),
    last_attempt_at: z.iso.datetime().nullable(),
    next_attempt_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: "WebhookDelivery" });
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;

export const WebhookDeliveryList = z
  .strictObject({ data: z.array(WebhookDelivery), next_cursor: z.string().nullable() })
  .meta({ id: "WebhookDeliveryList" });

const deliveryFilters = {
  endpoint_id: WebhookEndpointId.optional(),
  job_id: JobId.optional(),
  status: WebhookDeliveryStatus.optional(),
  cursor: z.string().min(1).max(512).optional(),
};
const size = z.int().min(1).max(100);

/** Query of `GET /v1/webhook-deliveries`. */
export const ListWebhookDeliveries = z.strictObject({
  ...deliveryFilters,
  limit: z.coerce.number().pipe(size).default(20),
});

/* Signed calls of the edge to a region, all of them POST `/internal/webhooks/…`. Each names the tenant. */

const ofTenant = { tenant_id: TenantId };
const ofEndpoint = { ...ofTenant, endpoint_id: WebhookEndpointId };
/** Names a secret; the same id again gets the same secret again. */
const secretId = z.string().regex(/^whs_[0-9a-f]{24}$/);

export const StoreWebhookEndpoint = z.strictObject({
  ...ofEndpoint,
  secret_id: secretId,
  url: WebhookUrl,
  events: z.array(WebhookEventType).min(1),
  include_result: z.boolean(),
});
export const OneTenant = z.strictObject(ofTenant);
export const OneWebhookEndpoint = z.strictObject(ofEndpoint);
export const ChangeWebhookEndpoint = UpdateWebhookEndpoint.extend(ofEndpoint);
export const RotateSecretOf = RotateWebhookSecret.extend({
  ...ofTenant,
  /** Absent: the tenant's own, which signs what goes to the `webhook_url` of jobs. */
  endpoint_id: WebhookEndpointId.optional(),
  secret_id: secretId,
});
export const FindWebhookDeliveries = z.strictObject({
  ...ofTenant,
  ...deliveryFilters,
  limit: size,
});
export const OneWebhookDelivery = z.strictObject({ ...ofTenant, delivery_id: WebhookDeliveryId });
export const DeletedWebhookEndpoint = z
  .strictObject({ id: WebhookEndpointId, deleted: z.literal(true) })
  .meta({ id: "DeletedWebhookEndpoint" });

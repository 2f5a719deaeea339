import { z } from "zod";
import { JobId, TenantId } from "../../shared/contracts/ids.ts";
import { Residency } from "../../shared/contracts/regions.ts";
import { WebhookUrl } from "../../shared/contracts/webhook-url.ts";
import {
  WebhookDeliveryId,
  WebhookDeliveryStatus,
  WebhookEndpointId,
  WebhookEventType,
} from "../../shared/contracts/webhooks.ts";
import { catalogue } from "../../shared/errors/catalogue.ts";
import { WebhookFacts } from "../results/webhook-event.ts";

/** A delivery as the region's Redis keeps it until it has ended, and for a day after. Times in Unix milliseconds. */
export const Delivery = z.strictObject({
  v: z.literal(1),
  id: WebhookDeliveryId,
  webhook_id: z.string(),
  tenant_id: TenantId,
  residency: Residency,
  region: z.string(),
  job_id: JobId,
  event: WebhookEventType,
  timestamp: z.iso.datetime(),
  facts: WebhookFacts,
  result_key: z.string().optional(),
  target: z.union([
    z.strictObject({ endpoint_id: WebhookEndpointId }),
    z.strictObject({ url: WebhookUrl, include_result: z.boolean() }),
  ]),
  /** Its result lies beside it, sealed. */
  has_sealed: z.boolean().optional(),
  /** No try after this. */
  expires_ms: z.number(),
  status: WebhookDeliveryStatus,
  attempts: z.int(),
  /** Since it began, or began anew. */
  tries: z.int(),
  version: z.int(),
  last_attempt_ms: z.number().nullable(),
  next_attempt_ms: z.number().nullable(),
  response_status: z.int().nullable(),
  error: z.string().nullable(),
});
export type Delivery = z.infer<typeof Delivery>;

/** A delivery's state for the database: of a bound tenant without anything that its client wrote. */
export const DeliveryRow = z.strictObject({
  id: z.string(),
  webhook_id: z.string(),
  tenant_id: z.string(),
  residency: Residency,
  region: z.string(),
  job_id: z.string(),
  event: WebhookEventType,
  endpoint_id: z.string().nullable(),
  url: z.string().nullable(),
  include_result: z.boolean(),
  facts: z.record(z.string(), z.unknown()),
  result_key: z.string().nullable(),
  status: WebhookDeliveryStatus,
  attempts: z.int(),
  response_status: z.int().nullable(),
  error: z.string().nullable(),
  last_attempt_at: z.iso.datetime().nullable(),
  next_attempt_at: z.iso.datetime().nullable(),
  version: z.int(),
});
export type DeliveryRow = z.infer<typeof DeliveryRow>;

const moment = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

export function rowOf(delivery: Delivery): DeliveryRow {
  const { target, facts, residency } = delivery;
  const isGlobal = residency === "global";
  return {
    id: delivery.id,
    webhook_id: delivery.webhook_id,
    tenant_id: delivery.tenant_id,
    residency,
    region: delivery.region,
    job_id: delivery.job_id,
    event: delivery.event,
    endpoint_id: "endpoint_id" in target ? target.endpoint_id : null,
    url: isGlobal && "url" in target ? target.url : null,
    include_result: "include_result" in target && target.include_result,
    facts: isGlobal ? facts : withoutContent(facts),
    result_key: delivery.result_key ?? null,
    status: delivery.status,
    attempts: delivery.attempts,
    response_status: delivery.response_status,
    error: delivery.error,
    last_attempt_at: moment(delivery.last_attempt_ms),
    next_attempt_at: moment(delivery.next_attempt_ms),
    version: delivery.version,
  };
}

/** What a client wrote, left out. */
export function withoutContent({
  user_id: _,
  metadata: __,
  error,
  ...facts
}: WebhookFacts): WebhookFacts {
  return error ? { ...facts, error: { ...error, detail: catalogue[error.code].title } } : facts;
}

/** The delivery that a row tells of, to begin anew; undefined where the row does not hold where it went. */
export function deliveryOf(row: DeliveryRow): Delivery | undefined {
  const { endpoint_id, url, include_result } = row;
  const target = endpoint_id !== null ? { endpoint_id } : url !== null && { url, include_result };
  const facts = WebhookFacts.safeParse(row.facts);
  if (!target || !facts.success) return undefined;
  return Delivery.parse({
    v: 1,
    id: row.id,
    webhook_id: row.webhook_id,
    tenant_id: row.tenant_id,
    residency: row.residency,
    region: row.region,
    job_id: row.job_id,
    event: row.event,
    timestamp: facts.data.finished_at,
    facts: facts.data,
    ...(row.result_key === null ? {} : { result_key: row.result_key }),
    target,
    expires_ms: 0,
    status: row.status,
    attempts: row.attempts,
    tries: 0,
    version: row.version,
    last_attempt_ms: row.last_attempt_at === null ? null : Date.parse(row.last_attempt_at),
    next_attempt_ms: null,
    response_status: row.response_status,
    error: row.error,
  });
}

import { z } from "zod";
import { JobId, TenantId } from "../../shared/contracts/ids.ts";
import { Residency } from "../../shared/contracts/regions.ts";
import { JobWebhook } from "../../shared/contracts/webhook-url.ts";
import { WebhookEventType, WebhookPayload } from "../../shared/contracts/webhooks.ts";
import type { OfferEntry } from "./offers.ts";

/** What an event tells of its job; `job_url`, and the result, come in when it is sent. */
export const WebhookFacts = WebhookPayload.shape.data.omit({
  job_url: true,
  result: true,
  result_omitted: true,
});
export type WebhookFacts = z.infer<typeof WebhookFacts>;

/** What the acceptance of a run leaves on the stream of webhooks, in the field `event`: it happened, whoever wants to know. */
export const WebhookEvent = z.strictObject({
  v: z.literal(1),
  type: WebhookEventType,
  tenant_id: TenantId,
  residency: Residency,
  job_id: JobId,
  timestamp: z.iso.datetime(),
  facts: WebhookFacts,
  result_key: z.string().optional(),
  /** The job's own, beside those of its tenant's endpoints. */
  own: JobWebhook.optional(),
  /** The result (JSON) where it is kept nowhere else, sealed; see sealed-result.ts. */
  sealed: z.string().optional(),
});
export type WebhookEvent = z.infer<typeof WebhookEvent>;

/** The event of an accepted run. */
export function webhookEventOf({ offer, envelope: { job }, webhook }: OfferEntry): WebhookEvent {
  const { user_id, metadata, own, sealed } = webhook ?? {};
  return {
    v: 1,
    type: `job.${job.status}`,
    tenant_id: job.tenant_id,
    residency: job.residency,
    job_id: job.id,
    timestamp: job.finished_at,
    facts: {
      job_id: job.id,
      kind: job.kind,
      status: job.status,
      region: job.region,
      created_at: job.created_at,
      started_at: job.started_at,
      finished_at: job.finished_at,
      ...(job.audio_duration_s === null ? {} : { audio_duration_s: job.audio_duration_s }),
      cost_usd: job.usd,
      ...(user_id === undefined ? {} : { user_id }),
      ...(metadata === undefined ? {} : { metadata }),
      ...(offer.error ? { error: offer.error } : {}),
    },
    ...(offer.result_key === undefined ? {} : { result_key: offer.result_key }),
    ...(own ? { own } : {}),
    ...(sealed === undefined ? {} : { sealed }),
  };
}

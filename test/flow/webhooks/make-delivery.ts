import type { CompletionOffer } from "../../../shared/contracts/completion.ts";
import type { DeliveryRow } from "../../../regions/webhooks/delivery.ts";

/** The row of a delivery that came, of a job's end; `hex` (32 digits) tells it from others. */
export function makeDelivery(offer: CompletionOffer, hex: string): DeliveryRow {
  return {
    id: `whd_use_${hex}`,
    webhook_id: `msg_${hex}`,
    tenant_id: offer.tenant_id,
    residency: "global",
    region: offer.region,
    job_id: offer.job_id,
    event: "job.succeeded",
    endpoint_id: null,
    url: "https://example.com/",
    include_result: false,
    facts: {} as DeliveryRow["facts"],
    result_key: null,
    status: "delivered",
    attempts: 1,
    response_status: 200,
    error: null,
    last_attempt_at: new Date().toISOString(),
    next_attempt_at: null,
    version: 1,
  };
}

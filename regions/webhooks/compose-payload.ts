import type { WebhookPayload } from "../../shared/contracts/webhooks.ts";
import type { Delivery } from "./delivery.ts";

/** A result that goes with an event has so many bytes at most, unless it is kept nowhere else. */
const MAX_RESULT_BYTES = 256 * 1024;

export interface PayloadResult {
  /** JSON; undefined when it cannot be read. */
  text: string | undefined;
  /** Kept nowhere else: of any size. */
  onlyHere: boolean;
}

/**
 * The body of a delivery.
 * @param base what the job's URL begins with: the API as clients see it, or nothing
 * @param result where it is to go with the event
 */
export function composePayload(delivery: Delivery, base: string, result?: PayloadResult): string {
  const { event: type, timestamp, facts, job_id } = delivery;
  const data: WebhookPayload["data"] = { ...facts, job_url: `${base}/v1/jobs/${job_id}` };
  const rest = JSON.stringify({ type, timestamp, data });
  if (!result) return rest;
  const { text, onlyHere } = result;
  const fits = text !== undefined && (onlyHere || Buffer.byteLength(text) <= MAX_RESULT_BYTES);
  if (!fits) {
    const result_omitted = text === undefined ? "not_readable" : "too_large";
    return JSON.stringify({ type, timestamp, data: { ...data, result_omitted } });
  }
  // As it was written, not parsed and written anew.
  return `${rest.slice(0, -2)},"result":${text}}}`;
}

import type { SecretBox } from "../ops/secret-box.ts";

const contextOf = (jobId: string) => `webhook-result/${jobId}`;

/**
 * The result (JSON) of a tenant of whom none is kept, for the `seal` of the offer relay: it goes with the event, lies sealed in the region's
 * Redis until it is delivered or given up, and goes out with every delivery of its job whatever its size.
 */
export const sealResult = (box: SecretBox, jobId: string, resultJson: string): string =>
  box.seal(resultJson, contextOf(jobId));

export const openResult = (box: SecretBox, jobId: string, sealed: string): string =>
  box.open(sealed, contextOf(jobId));

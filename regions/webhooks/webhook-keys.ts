import { createHash } from "node:crypto";
import { findRegion } from "../../shared/contracts/regions.ts";

/** All in the queue's hash slot, so that one script may touch them together. What the scripts add hangs on `prefix`. */
export const webhookKeys = {
  prefix: "{antiphon}:webhook:",
  /** Lanes with work, by when they are to be looked at. A lane is what is sent to one target, in order of when it is due. */
  lanes: "{antiphon}:webhook:lanes",
  /** All deliveries that have not ended, by when they were made. */
  pending: "{antiphon}:webhook:pending",
  /** Stream of states on their way to the database. */
  rows: "{antiphon}:webhook:rows",
  deadRows: "{antiphon}:webhook:rows:dead",
  deadEvents: "{antiphon}:webhooks:dead",
  /** Hash: endpoints that are to be paused or disabled, until the database says so too. */
  stopped: "{antiphon}:webhook:stopped",
  delivery: (id: string) => `{antiphon}:webhook:delivery:${id}`,
  sealed: (id: string) => `{antiphon}:webhook:sealed:${id}`,
  health: (lane: string) => `{antiphon}:webhook:health:${lane}`,
};

/** Consumer groups. */
export const webhookGroups = { events: "planners", rows: "writers" };

/** An endpoint, or the address that a job named. */
export type DeliveryTarget = { endpoint_id: string } | { url: string };

/**
 * The ids of a delivery: they follow from job, event and target alone, never from the run, so that whatever happens twice has
 * the same ones.
 */
export function deliveryIds(
  regionId: string,
  of: { job_id: string; type: string; target: DeliveryTarget },
): { id: string; webhookId: string } {
  const { job_id, type, target } = of;
  const name = "url" in target ? ["url", target.url] : ["endpoint", target.endpoint_id];
  const hash = createHash("sha256")
    .update(JSON.stringify([job_id, type, ...name]))
    .digest("hex");
  const digits = hash.slice(0, 32);
  return { id: `whd_${findRegion(regionId)!.code}_${digits}`, webhookId: `msg_${digits}` };
}

/** Lanes for all the addresses that a tenant's jobs name, however many those are. */
const URL_LANES = 8;

/**
 * Each endpoint has a lane of its own. The addresses that jobs name share a few by their origin: a client may name as many as it has
 * jobs, and tries that hang, and what waits for 72 hours, are bounded by lane. Two tenants' troubles stay apart.
 */
export function laneOf(tenantId: string, target: DeliveryTarget): string {
  if ("endpoint_id" in target) return target.endpoint_id;
  const hash = createHash("sha256").update(new URL(target.url).origin).digest();
  return `${tenantId}:${hash[0]! % URL_LANES}`;
}

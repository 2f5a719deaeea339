import { readId } from "../../shared/contracts/ids.ts";
import { JobSpec } from "../../shared/contracts/job.ts";

/** The version of specifications that this code knows. */
export const SPEC_VERSION = 1;

/**
 * A specification as it lay in the queue. What is not what the contract says comes back `unreadable`, with as much of it as an end
 * needs and no content.
 */
export function readSpec(
  text: string,
  job: { id: string; tenantId: string; dispatch: number },
): { spec: JobSpec; unreadable: boolean } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const parsed = JobSpec.safeParse(json);
  if (parsed.success) return { spec: parsed.data, unreadable: false };
  const given = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
  const { priority, residency } = JobSpec.shape;
  const spec: JobSpec = {
    v: SPEC_VERSION,
    id: job.id,
    kind: "analysis",
    tenant_id: job.tenantId,
    residency: residency.safeParse(given["residency"]).data ?? "global",
    dispatch: job.dispatch,
    priority: priority.safeParse(given["priority"]).data ?? "standard",
    parts: ["features"],
    upload_id: "",
    created_at: new Date(readId(job.id)?.createdAtMs ?? 0).toISOString(),
    request_id: "",
  };
  return { spec, unreadable: true };
}

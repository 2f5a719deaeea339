import { mintJobId, mintUploadId } from "../../shared/contracts/ids.ts";
import { priorities, type JobSpec } from "../../shared/contracts/job.ts";
import { findRegion } from "../../shared/contracts/regions.ts";

const TENANTS = 20;

/** Jobs of tenants of very different sizes, and of every priority. */
export function makeSpecs(count: number): JobSpec[] {
  const region = findRegion("us-east")!;
  return Array.from({ length: count }, (_, n) => ({
    v: 1,
    id: mintJobId(region),
    kind: "analysis",
    tenant_id: `ten_${Math.floor(TENANTS * ((n * 0.618) % 1) ** 2)}`,
    residency: "global",
    dispatch: 1,
    priority: priorities[n % priorities.length]!,
    parts: ["features", "voice_activity"],
    upload_id: mintUploadId(region),
    created_at: new Date().toISOString(),
    request_id: `req_${n}`,
  }));
}

import { Hono } from "hono";
import { SubmitBatch, SubmitBatchAnswer } from "../../shared/contracts/internal-api.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";
import {
  assertPermitted,
  createTakeJob,
  faultOf,
  inputKeyOf,
  type SubmitJobParts,
} from "./submit-job.ts";

export type BatchRoutesParts = Pick<
  SubmitJobParts,
  "region" | "queue" | "objects" | "checkWebhook"
>;

/**
 * `POST /internal/jobs/batch`: many jobs of one batch, all of them on disk after the answer. Their text is one upload, asked for once;
 * what is wrong with a single text shows when it is spoken, and fails that job alone. After an error some may have been taken, which the
 * same dispatches again, or newer ones elsewhere, put right.
 */
export function createBatchRoutes(parts: BatchRoutesParts): Hono<ApiEnv> {
  const { region, queue, objects, checkWebhook } = parts;
  const take = createTakeJob(queue);

  /** @throws ApiError what is wrong with a webhook; a batch has one for all its jobs */
  async function checkWebhooks(specs: readonly JobSpec[]): Promise<void> {
    const tenants = new Map(
      specs.flatMap(({ webhook, tenant_id }) => (webhook ? [[webhook.url, tenant_id]] : [])),
    );
    for (const [url, tenantId] of tenants) await checkWebhook?.(tenantId, url);
  }

  /** @throws ApiError upload_not_found */
  async function assertInputs(specs: readonly JobSpec[], signal: AbortSignal): Promise<void> {
    const keys = new Set(specs.filter(({ fault }) => !fault).map(inputKeyOf));
    const found = await Promise.all(Array.from(keys, (key) => objects.head(key, { signal })));
    if (found.some((head) => !head || head.bytes === 0)) throw new ApiError("upload_not_found");
  }

  return new Hono<ApiEnv>().post("/internal/jobs/batch", async (c) => {
    const { jobs } = parseBody(c, SubmitBatch);
    for (const spec of jobs) assertPermitted(spec, region);
    await checkWebhooks(jobs);
    await assertInputs(jobs, c.req.raw.signal);
    // In one turn of the loop, so that the queue takes them by the dozen.
    const all = await Promise.allSettled(jobs.map((spec) => take(spec, faultOf(spec, region))));
    for (const one of all) if (one.status === "rejected") throw one.reason;
    c.set("outcome", { batch: jobs[0]!.batch?.id ?? "", jobs: jobs.length });
    return c.json(SubmitBatchAnswer.parse({ taken: jobs.length }), 202);
  });
}

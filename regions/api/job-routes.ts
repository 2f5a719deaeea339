import { Hono, type Context } from "hono";
import { z } from "zod";
import { JobId, TenantId } from "../../shared/contracts/ids.ts";
import {
  CancelJob,
  CancelJobAnswer,
  JobRows,
  ReadResult,
  ReadResultAnswer,
  RegionJobState,
  StoredUpload,
  type SubmitAnswer,
} from "../../shared/contracts/internal-api.ts";
import { JobSpec, UserId } from "../../shared/contracts/job.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { QueueUnreachableError, type Queue } from "../queue/queue-port.ts";
import { SPEC_VERSION } from "../queue/read-spec.ts";
import type { ResultCache } from "../results/result-cache.ts";
import type { JobsRead } from "../store/jobs-read.ts";
import { answerJson } from "./answer-json.ts";
import type { ApiEnv } from "./api-context.ts";
import { createExpectStart } from "./expect-start.ts";
import { parseBody } from "./parse-body.ts";
import { createSubmitJob, type SubmitJobParts } from "./submit-job.ts";

export interface JobRoutesParts extends SubmitJobParts {
  queue: Pick<Queue, "submit" | "submitFinished" | "state" | "cancel" | "load" | "workers">;
  jobs: JobsRead;
  results: Pick<ResultCache, "read">;
}

const Versioned = z.looseObject({ v: z.int() });
const OneJob = z.strictObject({ tenant_id: TenantId });
const ListQuery = z.strictObject({
  tenant_id: TenantId,
  user_id: UserId.optional(),
  limit: z.coerce.number().int().min(1).max(100).optional(),
  cursor: z.string().max(512).optional(),
});

/** `/internal/jobs` and `/internal/results`. */
export function createJobRoutes(parts: JobRoutesParts): Hono<ApiEnv> {
  const { queue, jobs, results } = parts;
  const submitJob = createSubmitJob(parts);
  const expectStart = createExpectStart(queue);

  async function find(id: string, tenantId: string): Promise<RegionJobState> {
    const found = await queue.state(id).catch(asAway);
    // A foreign tenant's job is no job.
    if (found?.tenantId !== tenantId) throw new ApiError("job_not_found");
    return found.state;
  }

  return new Hono<ApiEnv>()
    .post("/internal/jobs", async (c) => {
      const stored = readStored(c.req.query("stored"));
      const answer = await submitJob(readSpec(c), { stored, signal: c.req.raw.signal });
      const { completion, ...taken } = answer;
      c.set("outcome", { ...taken, finished: completion !== undefined });
      return answerJson(c, answer satisfies SubmitAnswer, 202);
    })
    .get("/internal/jobs", async (c) => {
      const { tenant_id, user_id, limit, cursor } = parseRequest(ListQuery, c.req.query());
      const rows = await jobs.list({ tenantId: tenant_id, userId: user_id, limit, cursor });
      return c.json(JobRows.parse(rows));
    })
    .get("/internal/jobs/:id", async (c) => {
      const id = parseRequest(JobId, c.req.param("id"));
      const { tenant_id } = parseRequest(OneJob, c.req.query());
      const state = await find(id, tenant_id);
      const expected_at = state.status === "queued" ? await expectStart(state) : undefined;
      return c.json(RegionJobState.parse({ ...state, ...(expected_at ? { expected_at } : {}) }));
    })
    .post("/internal/jobs/cancel", async (c) => {
      const { job_id: id, tenant_id } = parseBody(c, CancelJob);
      await find(id, tenant_id);
      const outcome = await queue.cancel(id).catch(asAway);
      if (outcome === "unknown") throw new ApiError("job_not_found");
      c.set("outcome", { job_id: id, outcome });
      return c.json(CancelJobAnswer.parse({ job_id: id, outcome }));
    })
    .post("/internal/results/read", async (c) => {
      const found = await results.read(parseBody(c, ReadResult), c.req.raw.signal);
      if (!found) throw new ApiError("not_found", "The result is not in this region.");
      return c.json(ReadResultAnswer.parse(found));
    });
}

/** The specification in a body. An edge that is newer than this region finds another one; its client did nothing wrong. */
function readSpec(c: Context<ApiEnv>): JobSpec {
  try {
    return parseBody(c, JobSpec);
  } catch (error) {
    const { v: version } = parseBody(c, Versioned);
    if (version <= SPEC_VERSION) throw error;
    throw new ApiError(
      "region_unavailable",
      `Specifications of version ${version} are not known here yet.`,
    );
  }
}

/** What the edge knows of the upload: base64url of JSON. @throws ApiError malformed_json | invalid_request */
function readStored(given: string | undefined): StoredUpload | undefined {
  if (given === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(given, "base64url").toString());
  } catch {
    throw new ApiError("malformed_json");
  }
  return parseRequest(StoredUpload, json);
}

function asAway(error: unknown): never {
  if (!(error instanceof QueueUnreachableError)) throw error;
  throw new ApiError("dependency_unavailable", "The queue is away.", { cause: error });
}

import { Hono } from "hono";
import { ReadJob, ReadJobAnswer } from "../../shared/contracts/internal-api.ts";
import { audioExtension } from "../results/audio-extension.ts";
import type { JobsRead } from "../store/jobs-read.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";

export interface FinalJobRoutesParts {
  jobs: Pick<JobsRead, "find">;
}

/** `POST /internal/jobs/read`: a job that has ended, as this region's database server has it. */
export function createFinalJobRoutes({ jobs }: FinalJobRoutesParts): Hono<ApiEnv> {
  return new Hono<ApiEnv>().post("/internal/jobs/read", async (c) => {
    const { job_id, tenant_id } = parseBody(c, ReadJob);
    const found = await jobs.find(job_id, tenant_id);
    if (!found) return c.json(ReadJobAnswer.parse({ job: null }));
    const { container, sha256, bytes, duration_s } = found.audio ?? {};
    const audio =
      container === undefined
        ? null
        : { sha256, bytes, duration_s, extension: audioExtension(container) };
    return c.json(ReadJobAnswer.parse({ job: { ...found, audio } }));
  });
}

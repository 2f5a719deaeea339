import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { Job } from "./api.ts";
import { JobId } from "./ids.ts";
import { call, headers, json, KEY_ERRORS } from "./openapi-call.ts";

export const cancelPaths: ZodOpenApiPathsObject = {
  "/v1/jobs/{id}/cancel": {
    post: call(
      {
        operationId: "cancelJob",
        summary: "Stop a job",
        tags: ["Analysis"],
        description:
          "Of a job that runs, the work stops. May be repeated. A job that has come to another end stays as it is.",
        requestParams: { path: z.object({ id: JobId }), header: headers() },
      },
      [
        { status: 200, description: "It is canceled", content: json(Job) },
        { status: 202, description: "Its worker was told to stop", content: json(Job) },
      ],
      [...KEY_ERRORS, "job_not_found", "cancel_too_late"],
    ),
  },
};

import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { UserId } from "./job.ts";
import { call, headers, json, KEY_ERRORS, routed } from "./openapi-call.ts";
import { GetUsage, UsageReport } from "./usage.ts";
import { GetUserHistory, UserHistory } from "./user-history.ts";

/** The calls that report on many jobs; a part of the API's description. */
export const reportPaths: ZodOpenApiPathsObject = {
  "/v1/usage": {
    get: call(
      {
        operationId: "getUsage",
        summary: "What was used, by day and stage, and what it cost",
        tags: ["Analysis"],
        description:
          "Days are UTC, by when a job was accepted. Sums are some seconds old, as `as_of` says; what comes late is added to its day.",
        requestParams: { query: GetUsage, header: headers() },
      },
      [
        {
          status: 200,
          description: "One page of days, the oldest first",
          content: json(UsageReport),
        },
      ],
      [...KEY_ERRORS, "invalid_request"],
    ),
  },
  "/v1/users/{user_id}/analyses": {
    get: call(
      {
        operationId: "getUserHistory",
        summary: "One end user's analyses, newest first, and how features went",
        tags: ["Analysis"],
        description:
          "Of jobs that were created with this `user_id`. Tenants that are bound to a jurisdiction get `not_available`: their user ids are content, and stay out of the database that lists are made from.",
        requestParams: {
          path: z.object({ user_id: UserId }),
          query: GetUserHistory,
          header: headers(routed),
        },
      },
      [{ status: 200, description: "One page", content: json(UserHistory) }],
      [...KEY_ERRORS, "invalid_request", "not_available", "region_unavailable"],
    ),
  },
};

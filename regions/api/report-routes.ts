import { Hono } from "hono";
import { ReadUsage, ReadUserHistory } from "../../shared/contracts/internal-api.ts";
import { UsageReport } from "../../shared/contracts/usage.ts";
import { UserHistory } from "../../shared/contracts/user-history.ts";
import type { UsageRead } from "../store/usage-read.ts";
import type { UserHistoryRead } from "../store/user-history.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";

export interface ReportRoutesParts {
  usage: UsageRead;
  history: UserHistoryRead;
}

/** `/internal/usage` and `/internal/users`: what this region's database server has summed and kept. */
export function createReportRoutes({ usage, history }: ReportRoutesParts): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .post("/internal/usage/read", async (c) => {
      const { tenant_id, ...query } = parseBody(c, ReadUsage);
      return c.json(UsageReport.parse(await usage.daily({ tenantId: tenant_id, ...query })));
    })
    .post("/internal/users/analyses", async (c) => {
      const { tenant_id, user_id, ...query } = parseBody(c, ReadUserHistory);
      const found = await history.read({ tenantId: tenant_id, userId: user_id, ...query });
      return c.json(UserHistory.parse(found));
    });
}

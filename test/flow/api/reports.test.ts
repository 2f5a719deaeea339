import { afterAll, beforeAll, expect, test } from "vitest";
import { readId } from "../../../shared/contracts/ids.ts";
import { ReadJobAnswer } from "../../../shared/contracts/internal-api.ts";
import { UsageReport } from "../../../shared/contracts/usage.ts";
import { UserHistory } from "../../../shared/contracts/user-history.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { createUsageRollup } from "../../../regions/store/usage-rollup.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { makeRun } from "../results/make-run.ts";
import { inProcessApi } from "./in-process-api.ts";
import { edgeRequest, startRegionBench, type RegionBench } from "./region-bench.ts";

let bench: RegionBench;
let cluster: TestCluster;
let database: Database;
let api: Awaited<ReturnType<typeof inProcessApi>>;

beforeAll(async () => {
  [bench, cluster] = await Promise.all([startRegionBench(), startPostgres()]);
  const { url } = cluster.primary;
  database = createDatabase({ primaryUrl: url, replicaUrl: url });
  await migrate(database.primary);
  api = await inProcessApi(bench, { databaseUrl: url });
}, 60_000);
afterAll(async () => {
  await api?.close();
  await database?.close();
  await Promise.all([bench?.close(), cluster?.close()]);
});

const ask = async (target: string, body: object) =>
  api.app.request(await edgeRequest("POST", target, body));

test("a region tells a tenant's usage, an end user's history and a final job, and refuses cursors that are none", async () => {
  const run = makeRun({ tenantId: "ten_a", userId: "u-1" });
  await createFinalJobs(database).write([run.envelope]);
  await createUsageRollup(database).roll();
  const today = new Date(readId(run.offer.job_id)!.createdAtMs).toISOString().slice(0, 10);
  const range = { tenant_id: "ten_a", from: today, to: today, limit: 10 };

  const usage = UsageReport.parse(await (await ask("/internal/usage/read", range)).json());
  expect(usage.data).toMatchObject([{ day: today, usd: 0.5 }]);
  const history = { ...range, user_id: "u-1", features: [] };
  const found = UserHistory.parse(await (await ask("/internal/users/analyses", history)).json());
  expect(found.data.map(({ id }) => id)).toEqual([run.offer.job_id]);

  const read = { job_id: run.offer.job_id, tenant_id: "ten_a" };
  const { job } = ReadJobAnswer.parse(await (await ask("/internal/jobs/read", read)).json());
  expect(job).toMatchObject({ status: "succeeded", result_key: run.offer.result_key });
  const foreign = await ask("/internal/jobs/read", { ...read, tenant_id: "ten_b" });
  expect(await foreign.json()).toEqual({ job: null });

  for (const [target, body] of [
    ["/internal/usage/read", { ...range, cursor: "nonsense" }],
    ["/internal/users/analyses", { ...history, cursor: "nonsense" }],
    ["/internal/users/analyses", { ...history, features: ["pitch"] }],
    ["/internal/usage/read", { ...range, from: "yesterday" }],
  ] as const) {
    const response = await ask(target, body);
    expect([target, response.status]).toEqual([target, 400]);
    expect(await response.json()).toMatchObject({ code: "invalid_request" });
  }
});

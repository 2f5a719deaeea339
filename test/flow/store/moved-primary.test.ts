import { afterAll, beforeAll, expect, test } from "vitest";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createDatabaseDeletions } from "../../../regions/store/deletions.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { currentMonths, ensurePartitions } from "../../../regions/store/partitions.ts";
import { flushedPosition, waitForReplay } from "../../../regions/store/replay.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { makeRun } from "../results/make-run.ts";

/** The old primary and the one that was promoted in its stead, both there to be asked. */
let cluster: TestCluster;
let old: Database;
let next: Database;

beforeAll(async () => {
  cluster = await startPostgres({ replica: true });
  const [a, b] = [cluster.primary.url, cluster.replica!.url];
  old = createDatabase({ primaryUrl: a, replicaUrl: a });
  next = createDatabase({ primaryUrl: b, replicaUrl: b });
  await migrate(old.primary);
  await ensurePartitions(old.primary, currentMonths(Date.now()));
  await waitForReplay(old.primary, await flushedPosition(old.primary, []), { timeoutMs: 30_000 });
  await cluster.replica!.server.promote([]);
}, 90_000);
afterAll(async () => {
  await Promise.all([old?.close(), next?.close()]);
  await cluster?.close();
});

/** A pool that reaches the old primary, and the new one from the second statement after `move`, as where a process stood still. */
function movingPool() {
  let left = Number.POSITIVE_INFINITY;
  const current = () => (left-- > 0 ? old : next).primary;
  const pool = new Proxy(old.primary, {
    apply: (_, __, args) => (current() as unknown as (...all: unknown[]) => unknown)(...args),
    get(_, name: "unsafe" | "begin") {
      const use = current();
      return (use[name] as (...args: unknown[]) => unknown).bind(use);
    },
  });
  return { pool, move: () => void (left = 1), back: () => void (left = Number.POSITIVE_INFINITY) };
}

test("what the old primary took does not count as confirmed by the new one's replicas", async () => {
  const { pool, move, back } = movingPool();
  const finalJobs = createFinalJobs({ ...old, primary: pool });
  const { envelope } = makeRun();
  // The first one looks after the month's partition too.
  const { at } = await finalJobs.write([envelope]);
  expect(at.timeline).toBe(1);
  await expect(waitForReplay(next.primary, at)).rejects.toThrow(/moved/);
  move();
  await expect(finalJobs.write([makeRun().envelope])).rejects.toThrow(/moved/);

  back();

  const { erase } = createDatabaseDeletions({ primary: pool });
  const { id, tenant_id } = envelope.job;
  move();
  await expect(erase(tenant_id, [id], new AbortController().signal)).rejects.toThrow(/moved/);
});

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  readToken,
  withConsistency,
  writeToken,
  type LogPoint,
} from "../../../regions/store/consistency.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { ensurePartitions, monthOf } from "../../../regions/store/partitions.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { flushedPosition, waitForReplay } from "../../../regions/store/replay.ts";
import { createTenants } from "../../../regions/store/tenants.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";

let cluster: TestCluster;
let database: Database;
let replica: ReturnType<NonNullable<TestCluster["replica"]>["server"]["connectAsSuperuser"]>;

beforeAll(async () => {
  cluster = await startPostgres({ replica: true });
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.replica!.url });
  replica = cluster.replica!.server.connectAsSuperuser();
  await migrate(database.primary);
  await ensurePartitions(database.primary, [monthOf(Date.now())]);
  // A replica without the tables is passed over for a while, and these tests are of one that has them.
  await waitForReplay(database.primary, await flushedPosition(database.primary, []), {
    timeoutMs: 30_000,
  });
}, 90_000);
afterAll(async () => {
  await replica?.end();
  await database?.close();
  await cluster?.close();
});
beforeEach(() => replica`select pg_wal_replay_resume()`);

const by = { actor: "test" };
let made = 0;
const newTenant = () => ({ id: `ten_ryw_${++made}`, name: "Tenant", residency: "global" as const });

/** What a read sees of a tenant after a write that its token stands for. */
async function nameOf(id: string, after: LogPoint | undefined): Promise<string | undefined> {
  let name: string | undefined;
  await withConsistency(after, async () => {
    name = (await createTenants(database).find(id))?.name;
  });
  return name;
}

/** Writes on the primary alone, as a region does, while no replica replays: the write is there, its confirmation is not. */
async function writeUnconfirmed(tenant: ReturnType<typeof newTenant>): Promise<LogPoint> {
  await replica`select pg_wal_replay_pause()`;
  await expect
    .poll(async () => (await replica`select pg_get_wal_replay_pause_state() as s`)[0]!["s"])
    .toBe("paused");
  const wrote = await withConsistency(undefined, async () => {
    await createTenants(database)
      .create(tenant, by, { timeoutMs: 1 })
      .catch(() => undefined);
  });
  return wrote!;
}

test("a read with a token sees the write although this region's replica lies behind", async () => {
  const tenant = newTenant();
  const wrote = await writeUnconfirmed(tenant);
  expect(await nameOf(tenant.id, undefined)).toBeUndefined();
  expect(await nameOf(tenant.id, wrote)).toBe("Tenant");
});

test("it waits for the replica while that is about to have it, and needs no primary then", async () => {
  const tenant = newTenant();
  const wrote = await writeUnconfirmed(tenant);
  const reading = nameOf(tenant.id, wrote);
  await replica`select pg_wal_replay_resume()`;
  expect(await reading).toBe("Tenant");
  await expect.poll(() => nameOf(tenant.id, undefined)).toBe("Tenant");
  // The replica is known to be so far from now on, though the first wait may have ended at the primary.
  expect(await nameOf(tenant.id, wrote)).toBe("Tenant");
  await cluster.primary.stop();
  try {
    expect(await nameOf(tenant.id, wrote)).toBe("Tenant");
    // Of another timeline: what was promoted since may lack it, and nobody but the primary can tell.
    const elsewhere = { ...wrote, timeline: wrote.timeline + 1 };
    await expect(nameOf(tenant.id, elsewhere)).rejects.toMatchObject({
      code: "dependency_unavailable",
    });
  } finally {
    await cluster.primary.start();
  }
});

test("a token of before a promotion is answered by the primary", async () => {
  const tenant = newTenant();
  const wrote = await writeUnconfirmed(tenant);
  expect(await nameOf(tenant.id, { timeline: wrote.timeline + 1, position: 1n })).toBe("Tenant");
});

test("tokens survive their journey, and none but ours is read", () => {
  const point = { timeline: 7, position: 0x1_2345_6789n };
  const token = writeToken(point);
  expect(readToken(token)).toEqual(point);
  for (const other of ["", "1.2", token.slice(0, -1), token.replace(/^7/, "8"), `${token}x`]) {
    expect(() => readToken(other)).toThrow(/not one of ours/);
  }
});

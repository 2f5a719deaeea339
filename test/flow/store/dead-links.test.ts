import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isDatabaseAway } from "../../../regions/store/database-error.ts";
import { openPool, type Pool } from "../../../regions/store/postgres-pool.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";

let cluster: TestCluster;
let link: Server;
let pool: Pool;
const near = new Set<Socket>();

beforeAll(async () => {
  cluster = await startPostgres();
  link = createServer((socket) => {
    const far = connect(cluster.primary.server.port, "127.0.0.1");
    near.add(socket);
    socket.on("error", () => undefined).on("close", () => near.delete(socket) && far.destroy());
    far.on("error", () => undefined).on("close", () => socket.destroy());
    socket.pipe(far).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(link, "listening");
  const { port } = link.address() as AddressInfo;
  const url = cluster.primary.url.replace(/:\d+\//, `:${port}/`);
  pool = openPool({ url, primary: true, applicationName: "test", max: 8 });
}, 60_000);
afterAll(async () => {
  await pool?.end({ timeout: 1 });
  link?.close();
  await cluster?.close();
});

/** Resolves when the server is at the statement with that mark, which goes on for longer than anybody looks. */
const atWork = async (mark: string) => {
  const direct = openPool({ url: cluster.primary.url, primary: true, applicationName: "watch" });
  try {
    await expect
      .poll(async () => {
        const [row] = await direct`
          select count(*)::int as n from pg_stat_activity
          where wait_event = 'PgSleep' and query like ${`%${mark}`}`;
        return row?.n;
      })
      .toBeGreaterThan(0);
  } finally {
    await direct.end();
  }
};

// What the driver throws out of a timer there ends a process, and fails this whole run.
test("a transaction whose link dies rejects, and neither ends the process nor goes on waiting", async () => {
  for (const cut of ["destroy", "resetAndDestroy"] as const) {
    const work = pool.begin(async (sql) => {
      await sql`select 1`;
      await sql.unsafe(`select pg_sleep(20) -- ${cut}`);
    });
    const outcome = work.then(
      () => undefined,
      (error: unknown) => error,
    );
    await atWork(`-- ${cut}`);
    for (const socket of near) socket[cut]();
    expect(await outcome).toSatisfy(isDatabaseAway);
    expect(await pool`select 1 as n`).toEqual([{ n: 1 }]);
  }
});

test("a transaction that fails for another reason is rolled back, and its connection goes on", async () => {
  await pool`create table kept (n int)`;
  const failing = pool.begin(async (sql) => {
    await sql`insert into kept values (1)`;
    throw new Error("ours");
  });
  await expect(failing).rejects.toThrow("ours");
  await expect(pool.begin((sql) => sql`select 1 / 0`)).rejects.toMatchObject({ code: "22012" });
  expect(await pool.begin((sql) => sql`select count(*)::int as n from kept`)).toEqual([{ n: 0 }]);
});

test("links that die together, under callers who try again at once, leave every connection usable", async () => {
  const stubborn = async (round: number): Promise<void> => {
    for (let tries = 0; tries < 30; tries++) {
      // The first is under way until its link dies.
      const statement = `select pg_sleep(${tries === 0 ? 20 : 0.1}) -- round ${round}`;
      const done = await pool.unsafe(statement).then(
        () => true,
        () => false,
      );
      if (done) return;
    }
  };
  const everyConnection = () =>
    Promise.all(Array.from({ length: 8 }, () => pool`select pg_sleep(0.02)`));
  for (let round = 0; round < 5; round++) {
    await everyConnection();
    const callers = [stubborn(round), stubborn(round), stubborn(round)];
    await atWork(`-- round ${round}`);
    for (const socket of near) socket.resetAndDestroy();
    await Promise.all(callers);
    await everyConnection();
  }
});

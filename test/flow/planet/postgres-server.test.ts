import { stat } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { expect, test } from "vitest";
import { createLinkProxy } from "../../../scripts/planet/link-proxy.ts";
import { freePort } from "../../../scripts/planet/ports.ts";
import { createPostgresServer } from "../../../scripts/planet/postgres-server.ts";
import { type Bench, createBench } from "./bench-of-parts.ts";

const passwords = { superuser: "super-1", services: "serv'ices-2", replicator: "replicator-3" };

async function server(bench: Bench, name: string) {
  const dir = join(bench.dir, name, "data");
  return createPostgresServer({
    name,
    dir,
    port: await freePort(),
    passwords,
    logFile: bench.log(name),
  });
}

function client(bench: Bench, url: string) {
  // Where a server is killed, nobody catches the client's own question for types.
  const sql = postgres(url, { max: 2, fetch_types: false, onnotice: () => undefined });
  bench.onClose(() => sql.end({ timeout: 1 }));
  return sql;
}

test("rows reach a replica over its link, also after a cut, a restart of both, and kill -9 of the primary", async () => {
  await using bench = await createBench();
  expect((await stat(bench.dir)).mode & 0o777).toBe(0o700);
  const primary = await server(bench, "primary");
  await primary.initPrimary();
  const running = await bench.supervisor.start({ ...primary.spec(), backoffMs: 10 });
  await primary.ensureDatabase();
  const sql = client(bench, primary.url());
  await sql`create table words (word text)`;
  await sql`insert into words values ('first')`;

  const target = { host: "127.0.0.1", port: primary.port };
  const link = await createLinkProxy({ name: "replica->primary", target, rttMs: 10 });
  bench.onClose(() => link.close());
  const replica = await server(bench, "replica");
  const upstream = { host: "127.0.0.1", port: link.port, region: "eu-west", slot: "eu_west" };
  await replica.createReplica(primary, upstream);
  await bench.supervisor.start(replica.spec(() => upstream));
  const copy = client(bench, replica.url());
  const words = async () =>
    (await copy<{ word: string }[]>`select word from words`).map(({ word }) => word);
  await expect.poll(words).toEqual(["first"]);
  await expect(copy`insert into words values ('no')`).rejects.toThrow(/read-only/);

  // The services may ask how far a replica is: the batch writer waits for that.
  await expect
    .poll(async () => {
      const [seen] = await sql`select application_name, replay_lsn from pg_stat_replication`;
      return seen;
    })
    .toMatchObject({ application_name: "eu-west", replay_lsn: expect.stringContaining("/") });

  link.cut("reset");
  await sql`insert into words values ('second')`;
  expect(await words()).toEqual(["first"]);
  link.restore();
  await expect.poll(words).toEqual(["first", "second"]);

  await bench.supervisor.find("replica")?.stop();
  await bench.supervisor.find("primary")?.stop();
  await primary.initPrimary();
  await bench.supervisor.start({ ...primary.spec(), backoffMs: 10 });
  await primary.ensureDatabase();
  await sql`insert into words values ('third')`;
  await replica.createReplica(primary, upstream);
  await bench.supervisor.start(replica.spec(() => upstream));
  await expect.poll(words).toEqual(["first", "second", "third"]);

  const again = bench.supervisor.find("primary");
  const before = again?.pid;
  again?.kill("SIGKILL");
  await expect
    .poll(() => again?.state === "ready" && again.pid !== before, { timeout: 20_000 })
    .toBe(true);
  await expect
    .poll(() =>
      sql`insert into words values ('fourth')`.then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);
  await expect.poll(words).toEqual(["first", "second", "third", "fourth"]);
  expect(running.restarts).toBe(0);
}, 120_000);

test("a replica that fell behind further than the primary keeps WAL is made anew", async () => {
  await using bench = await createBench();
  const primary = await server(bench, "primary");
  await primary.initPrimary();
  await bench.supervisor.start(primary.spec());
  await primary.ensureDatabase();
  const replica = await server(bench, "replica");
  const upstream = { host: "127.0.0.1", port: primary.port, region: "eu-west", slot: "eu_west" };
  await replica.createReplica(primary, upstream);
  const admin = primary.connectAsSuperuser();
  bench.onClose(() => admin.end());
  await admin`select pg_drop_replication_slot('eu_west')`;
  const sql = client(bench, primary.url());
  await sql`create table words as select 'new' as word`;
  await admin`select pg_switch_wal()`;
  await admin`checkpoint`;
  await replica.createReplica(primary, upstream);
  await bench.supervisor.start(replica.spec(() => upstream));
  expect(await client(bench, replica.url())`select word from words`).toEqual([{ word: "new" }]);
}, 60_000);

test("nobody gets into Postgres without a password, and the services' role only into its own database", async () => {
  await using bench = await createBench();
  const primary = await server(bench, "primary");
  await primary.initPrimary();
  await bench.supervisor.start(primary.spec());
  await primary.ensureDatabase();
  const url = new URL(primary.url());
  url.password = "wrong";
  await expect(client(bench, url.href)`select 1`).rejects.toThrow(/password authentication failed/);
  const other = new URL(primary.url());
  other.pathname = "/postgres";
  await expect(client(bench, other.href)`select 1`).rejects.toThrow(/no pg_hba.conf entry/);
}, 60_000);

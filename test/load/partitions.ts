import { spawnSync } from "node:child_process";
import { addMonths, dropPartitions, monthOf, type Month } from "../../regions/store/partitions.ts";
import { migrate } from "../../regions/store/migrate.ts";
import { openPool, type Pool } from "../../regions/store/postgres-pool.ts";
import { startPostgres, type TestCluster } from "../support/postgres.ts";
import { bytesOf, fillJobs, TENANTS, USERS } from "./partitions/fill-jobs.ts";

const MONTHS = 24;
/** Months that are removed cold, and warm, one after another; the medians count. */
const REMOVED = 3;
const COLD_ROUNDS = 3;
const WARM_QUERIES = 200;
const STATEMENT_MS = 600_000;

const say = (line: string) => process.stdout.write(`${line}\n`);
const round = (value: number, digits = 2) => Number(value.toFixed(digits));
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function millisecondsOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/**
 * Two years of jobs in monthly partitions and in one flat table with the same rows and indexes: what it takes to remove a
 * month, and to read one end user's month. What retention removes is two years old, and has left the system's memory long ago: of the
 * main figure no file is in it. `remove_ms` also tells how long both take right after all was written.
 */
export async function benchPartitions(options: { json: boolean; rows: number }): Promise<void> {
  const { json, rows } = options;
  const cluster = await startPostgres();
  const connect = () =>
    openPool({
      url: cluster.primary.url,
      primary: true,
      applicationName: "bench",
      max: 2,
      statementTimeoutMs: STATEMENT_MS,
    });
  let pool = connect();
  try {
    // For connections from now on: indexes of millions of rows are sorted in memory.
    await pool`alter database antiphon set maintenance_work_mem = '256MB'`;
    await pool.end();
    pool = connect();
    await migrate(pool);
    const last = monthOf(Date.now());
    const months = Array.from({ length: MONTHS }, (_, i) => addMonths(last, i + 1 - MONTHS));
    const fillMs = await millisecondsOf(() => fillJobs(pool, months, rows));
    const sizes = [await bytesOf(pool, "jobs"), await bytesOf(pool, "flat_jobs")].map(
      (bytes) => `${(bytes / 2 ** 30).toFixed(2)} GiB`,
    );
    const [counted] = await pool<[{ rows: number }]>`select count(*)::int as rows from jobs`;
    if (!json) {
      say(
        `${counted.rows} rows in ${MONTHS} months, ${sizes[0]} partitioned and ${sizes[1]} flat, indexes included (${(fillMs / 1000).toFixed(0)} s to fill)`,
      );
    }

    const month = months[MONTHS / 2]!;
    const touched = [
      await relationsOf(pool, "jobs", month),
      await relationsOf(pool, "flat_jobs", month),
    ];
    const warm = {
      jobs: await warmMs(pool, "jobs", month),
      flat: await warmMs(pool, "flat_jobs", month),
    };
    await pool.end();
    const cold: { jobs: number[]; flat: number[] } = { jobs: [], flat: [] };
    for (let at = 0; at < COLD_ROUNDS; at += 1) {
      for (const [table, into] of [
        ["jobs", cold.jobs],
        ["flat_jobs", cold.flat],
      ] as const) {
        await goCold(cluster);
        pool = connect();
        await pool`select 1`;
        into.push(await millisecondsOf(() => userMonth(pool, table, month, at)));
        await pool.end();
      }
    }
    pool = connect();
    if (!json) {
      say(`one user's month touches ${touched[0]!.join(", ")}`);
      say(
        `  warm: ${warm.jobs.toFixed(2)} ms partitioned, ${warm.flat.toFixed(2)} ms flat; cold: ${median(cold.jobs).toFixed(1)} ms partitioned, ${median(cold.flat).toFixed(1)} ms flat`,
      );
    }

    const removed = { warm: removals(), cold: removals() };
    for (const [i, old] of months.slice(0, 2 * REMOVED).entries()) {
      const state = i < REMOVED ? "warm" : "cold";
      const into = removed[state];
      // Each after a checkpoint, so that none pays for writing what another has changed.
      const prepare = async () => {
        if (state === "warm") readAll(cluster);
        await checkpoint(cluster);
        if (state === "cold") forgetFiles(cluster);
      };
      await prepare();
      into.drops.push(await millisecondsOf(() => dropPartitions(pool, addMonths(old, 1))));
      await prepare();
      into.deletes.push(await millisecondsOf(() => deleteMonth(pool, old)));
      if (!json) {
        say(
          `${old}, ${state}: dropped in ${into.drops.at(-1)!.toFixed(1)} ms, deleted in ${into.deletes.at(-1)!.toFixed(0)} ms`,
        );
      }
    }
    const vacuumMs = await millisecondsOf(() => pool.unsafe("vacuum flat_jobs"));
    const left = [await bytesOf(pool, "jobs"), await bytesOf(pool, "flat_jobs")];
    if (!json) {
      say(
        `a VACUUM after the DELETEs takes ${(vacuumMs / 1000).toFixed(1)} s; ${(left[0]! / 2 ** 30).toFixed(2)} GiB partitioned and ${(left[1]! / 2 ** 30).toFixed(2)} GiB flat are left\n`,
      );
    }
    const { cold: aged, warm: fresh } = removed;
    const [ours, reference] = [median(aged.drops), median(aged.deletes)];
    say(
      JSON.stringify({
        bench: "partitions",
        unit: "months removed/s",
        ours: round(1000 / ours),
        reference: {
          name: "DELETE of the same month from one flat table with the same indexes",
          value: round(1000 / reference, 4),
        },
        limit: { name: "none", value: 0 },
        ratio_to_reference: round(reference / ours),
        ratio_to_limit: null,
        rows: counted.rows,
        months: MONTHS,
        remove_ms: {
          cold: { drop: round(ours), delete: round(reference) },
          warm: { drop: round(median(fresh.drops)), delete: round(median(fresh.deletes)) },
        },
        ratio_warm: round(median(fresh.deletes) / median(fresh.drops)),
        user_month_ms: {
          warm: { partitioned: round(warm.jobs), flat: round(warm.flat) },
          cold: { partitioned: round(median(cold.jobs)), flat: round(median(cold.flat)) },
        },
        partitions_touched: touched[0]!,
      }),
    );
  } finally {
    await pool.end({ timeout: 1 });
    await cluster.close();
  }
}

/** As parameters that the planner knows: it then opens no partition but those in between. */
const bounds = (month: Month) =>
  [month, addMonths(month, 1)].map((each) => `${each}-01T00:00:00.000Z`) as [string, string];

/** One end user's analyses of a month, newest first. */
async function userMonth(pool: Pool, table: string, month: Month, user: number): Promise<number> {
  const rows = await pool.unsafe(userMonthSql(table), parametersOf(month, user), { prepare: true });
  return rows.length;
}
const userMonthSql = (
  table: string,
) => `select id, created_at, status, audio_duration_s, usd from ${table}
  where tenant_id = $1 and user_id = $2 and created_at >= $3::timestamptz and created_at < $4::timestamptz
  order by created_at desc, id desc limit 100`;
const parametersOf = (month: Month, user: number) => [
  `ten_${user % TENANTS}`,
  `user-${(user * 7) % USERS}`,
  ...bounds(month),
];

/** The median over many users, each asked a second time. */
async function warmMs(pool: Pool, table: string, month: Month): Promise<number> {
  const times: number[] = [];
  for (let user = 0; user < WARM_QUERIES; user += 1) {
    const found = await userMonth(pool, table, month, user);
    if (found > 0) times.push(await millisecondsOf(() => userMonth(pool, table, month, user)));
  }
  if (times.length < WARM_QUERIES / 10) throw new Error("too few users have rows to read");
  return median(times);
}

const removals = () => ({ drops: [] as number[], deletes: [] as number[] });

interface PlanNode {
  "Relation Name"?: string;
  Plans?: PlanNode[];
}

/** The tables that the plan of one user's month reads. */
async function relationsOf(pool: Pool, table: string, month: Month): Promise<string[]> {
  const rows = await pool.unsafe<{ "QUERY PLAN": { Plan: PlanNode }[] }[]>(
    `explain (format json) ${userMonthSql(table)}`,
    parametersOf(month, 1),
  );
  const names = (node: PlanNode): string[] => [
    ...(node["Relation Name"] === undefined ? [] : [node["Relation Name"]]),
    ...(node.Plans ?? []).flatMap(names),
  ];
  const plan = rows[0]!["QUERY PLAN"];
  return names((typeof plan === "string" ? (JSON.parse(plan) as typeof plan) : plan)[0]!.Plan);
}

const deleteMonth = (pool: Pool, month: Month) =>
  pool.unsafe(
    "delete from flat_jobs where created_at >= $1::timestamptz and created_at < $2::timestamptz",
    [...bounds(month)],
  );

async function checkpoint(cluster: TestCluster): Promise<void> {
  const superuser = cluster.primary.server.connectAsSuperuser();
  try {
    await superuser`checkpoint`;
  } finally {
    await superuser.end();
  }
}

/** Restarts the server and has the system forget its files, so that the next read comes from the disk. */
async function goCold(cluster: TestCluster): Promise<void> {
  await cluster.primary.stop();
  forgetFiles(cluster);
  await cluster.primary.start();
}

/** Has the system let go of what it holds of the database's files in memory. */
function forgetFiles(cluster: TestCluster): void {
  const script = `find "$1" -type f -exec dd if={} of=/dev/null iflag=nocache count=0 status=none \\;`;
  if (!overFiles(cluster, script)) throw new Error("the system keeps the files in its memory");
}

/** Has the system hold all of the database's files in memory. */
function readAll(cluster: TestCluster): void {
  if (!overFiles(cluster, `find "$1" -type f -exec cat {} + > /dev/null`)) {
    throw new Error("the files could not be read");
  }
}

function overFiles(cluster: TestCluster, script: string): boolean {
  const folder = cluster.primary.server.dataDir;
  return spawnSync("sh", ["-c", script, "sh", folder]).status === 0;
}

import postgres from "postgres";
import type { JobRows } from "./judge.ts";

/** The URL of the one database among these that takes writes; undefined while none does. */
async function findPrimary(urls: readonly string[]): Promise<string | undefined> {
  const found = await Promise.all(
    urls.map(async (url) => {
      const sql = connect(url);
      try {
        const [row] = await sql<{ replica: boolean }[]>`select pg_is_in_recovery() as replica`;
        return row?.replica === false;
      } catch {
        return false;
      } finally {
        await sql.end({ timeout: 1 });
      }
    }),
  );
  return urls[found.indexOf(true)];
}

/**
 * What the primary has of these jobs, by job; jobs without rows are left out.
 * @throws while no database takes writes
 */
export async function readRows(
  urls: readonly string[],
  jobIds: readonly string[],
): Promise<Map<string, JobRows>> {
  const primary = await findPrimary(urls);
  if (primary === undefined) throw new Error("there is no primary to read the rows of");
  const sql = connect(primary);
  try {
    const rows = await sql<JobRows[]>`
      select id as "jobId",
        (select count(*) from jobs j where j.id = wanted.id)::int as jobs,
        (select count(*) from results r where r.job_id = wanted.id)::int as results,
        (select count(*) from usage_events u where u.job_id = wanted.id)::int as usage,
        (select count(distinct stage) from usage_events u where u.job_id = wanted.id)::int as stages
      from unnest(${`{${jobIds.join(",")}}`}::text[]) as wanted(id)`;
    return new Map(rows.filter(({ jobs }) => jobs > 0).map((row) => [row.jobId, row]));
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Without the client's own question for types, which nobody catches where its server dies meanwhile: so it knows no arrays. */
const connect = (url: string) =>
  postgres(url, {
    max: 1,
    connect_timeout: 3,
    idle_timeout: 5,
    fetch_types: false,
    onnotice: () => undefined,
  });

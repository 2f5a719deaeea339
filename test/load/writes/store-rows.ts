import type { OutboxEnvelope } from "../../../shared/contracts/completion.ts";
import type { Pool } from "../../../regions/store/postgres-pool.ts";

/* The same rows as the batch writer writes, by other means: what the bench holds it against. */

const JOBS =
  "id created_at tenant_id kind residency region priority dispatch attempt status error_code user_id metadata audio_sha256 audio_duration_s result_key started_at finished_at usd".split(
    " ",
  );
const RESULTS = ["job_id", "created_at", "tenant_id", "dispatch", "attempt", "result"];
const USAGE = ["job_id", "stage", "created_at", "tenant_id", "quantity", "unit", "usd"];

type Row = readonly unknown[];
/** A row's values as text, null for none. */
const toText = (value: unknown): string | null =>
  value === null || value === undefined
    ? null
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value as string | number);

const jobRow = ({ job }: OutboxEnvelope): Row => {
  const all: Record<string, unknown> = { ...job, ...job.epoch };
  return JOBS.map((name) => all[name]);
};
const resultRow = ({ job, result }: OutboxEnvelope): Row => [
  job.id,
  job.created_at,
  job.tenant_id,
  job.epoch.dispatch,
  job.epoch.attempt,
  result,
];
const usageRows = ({ job, usage }: OutboxEnvelope): Row[] =>
  usage.map((row) => [
    job.id,
    row.stage,
    job.created_at,
    job.tenant_id,
    row.quantity,
    row.unit,
    row.usd,
  ]);

/** COPY, one stream for each table, in one transaction. */
export async function copyAll(pool: Pool, envelopes: readonly OutboxEnvelope[]): Promise<void> {
  const quote = (value: unknown) =>
    toText(value)?.replace(/[\\\t\n\r]/g, (sign) => `\\${ESCAPES[sign]}`) ?? "\\N";
  await pool.begin(async (sql) => {
    for (const { table, columns, rowsOf } of TABLES) {
      const stream = await sql.unsafe(`copy ${table} (${columns.join()}) from stdin`).writable();
      const ended = new Promise((resolve, reject) => {
        stream.once("finish", resolve).once("error", reject);
      });
      let lines = "";
      for (const envelope of envelopes) {
        for (const row of rowsOf(envelope)) lines += `${row.map(quote).join("\t")}\n`;
        if (lines.length < 65_536) continue;
        if (!stream.write(lines)) await new Promise((resolve) => stream.once("drain", resolve));
        lines = "";
      }
      stream.end(lines);
      await ended;
    }
  });
}

const ESCAPES: Record<string, string> = { "\\": "\\", "\t": "t", "\n": "n", "\r": "r" };
const TABLES = [
  { table: "jobs", columns: JOBS, rowsOf: (envelope: OutboxEnvelope) => [jobRow(envelope)] },
  {
    table: "results",
    columns: RESULTS,
    rowsOf: (envelope: OutboxEnvelope) => [resultRow(envelope)],
  },
  { table: "usage_events", columns: USAGE, rowsOf: usageRows },
];

/** One INSERT into each table for each result (its rows of usage in one), one after another, each its own commit. */
export async function insertEach(pool: Pool, envelopes: readonly OutboxEnvelope[]): Promise<void> {
  for (const envelope of envelopes) {
    for (const { table, columns, rowsOf } of TABLES) {
      const rows = rowsOf(envelope);
      const places = rows.map(
        (row, i) =>
          `(${row.map((_, k) => `$${i * columns.length + k + 1}::text::${typeOf(columns[k]!)}`).join()})`,
      );
      await pool.unsafe(
        `insert into ${table} (${columns.join()}) values ${places.join()} on conflict do nothing`,
        rows.flat().map(toText),
        { prepare: true },
      );
    }
  }
}

const TYPES: Record<string, string> = {
  created_at: "timestamptz",
  started_at: "timestamptz",
  finished_at: "timestamptz",
  dispatch: "integer",
  attempt: "integer",
  metadata: "jsonb",
  result: "jsonb",
  audio_duration_s: "float8",
  quantity: "float8",
  usd: "numeric",
};
const typeOf = (column: string) => TYPES[column] ?? "text";

import { openPool } from "../../../regions/store/postgres-pool.ts";

/* Connects as the services do, by the URL given, and tells whether by TLS. The authorities are read when Node starts, hence a process. */

const pool = openPool({ url: process.argv[2]!, primary: true, applicationName: "tls" });
try {
  const [row] = await pool`
    select ssl, pg_is_in_recovery() as standby from pg_stat_ssl where pid = pg_backend_pid()`;
  process.stdout.write(JSON.stringify(row));
} catch (error) {
  const { code, cause } = error as { code?: string; cause?: AggregateError };
  process.stdout.write(JSON.stringify({ code, causes: cause?.errors.map(String) }));
} finally {
  await pool.end({ timeout: 1 });
}

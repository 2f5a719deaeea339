/** Passwords of the three roles: the supervisor's superuser, the services' owner of the database, and replication. */
export type PostgresPasswords = { superuser: string; services: string; replicator: string };

export const SUPERUSER = "antiphon_admin";
export const SERVICES = "antiphon";
export const REPLICATOR = "replicator";
export const DATABASE = "antiphon";

/** Where a replica finds its primary (through a link proxy), and the slot that keeps the WAL it has yet to read. */
export type Upstream = { host: string; port: number; region: string; slot: string };

/** postgresql.conf, whole: it is written at every start, so that ports and upstream may change. */
export function postgresqlConf(
  port: number,
  passwords: PostgresPasswords,
  upstream: Upstream | undefined,
): string {
  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    // A socket's path is bounded to some 100 bytes, a checkout's is not; and TCP is what the regions use.
    unix_socket_directories: "",
    password_encryption: "scram-sha-256",
    max_connections: "60",
    shared_buffers: "32MB",
    // In the data folder: containers and chroots often have no /dev/shm that this account may write.
    dynamic_shared_memory_type: "mmap",
    wal_level: "replica",
    wal_log_hints: "on",
    max_wal_senders: "10",
    max_replication_slots: "10",
    max_wal_size: "256MB",
    min_wal_size: "80MB",
    // A replica that stays away longer than this is made anew; a full disk would stop the primary.
    max_slot_wal_keep_size: "1GB",
    wal_sender_timeout: "5s",
    hot_standby: "on",
    hot_standby_feedback: "on",
    wal_receiver_timeout: "5s",
    wal_receiver_status_interval: "1s",
    wal_retrieve_retry_interval: "500ms",
    timezone: "UTC",
    log_timezone: "UTC",
    log_line_prefix: "%m [%p] %q%u@%d ",
    datestyle: "iso",
    default_text_search_config: "pg_catalog.simple",
  };
  if (upstream !== undefined) {
    const { host, port: at, region, slot } = upstream;
    const login = `user=${REPLICATOR} password=${passwords.replicator}`;
    settings["primary_conninfo"] =
      `host=${host} port=${at} ${login} application_name=${region} connect_timeout=5 sslmode=disable`;
    settings["primary_slot_name"] = slot;
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join("");
}

/** pg_hba.conf: passwords for everybody, from this machine only. */
export const pgHbaConf = `host all ${SUPERUSER} 127.0.0.1/32 scram-sha-256
host ${DATABASE} ${SERVICES} 127.0.0.1/32 scram-sha-256
host replication ${REPLICATOR} 127.0.0.1/32 scram-sha-256
`;

import type { PostgresServer } from "./postgres-server.ts";
import type { Upstream } from "./postgres-settings.ts";

/** The Postgres servers of all regions, and which of them is the primary now. */
export type PostgresCluster = {
  readonly ids: readonly string[];
  primary(): string;
  /** From now on, and in later runs. */
  setPrimary(id: string): Promise<void>;
  server(id: string): PostgresServer;
  /** What a region's server follows when it is to follow `leader`. */
  upstream(id: string, leader: string): Upstream;
  /** What it is to follow now; undefined for the primary. */
  follows(id: string): { primary: PostgresServer; upstream: Upstream } | undefined;
};

export type PostgresClusterOptions = {
  servers: ReadonlyMap<string, PostgresServer>;
  primary: string;
  /** The port at which a region reaches another's Postgres. */
  portTo(from: string, to: string): number;
  onPrimary(id: string): Promise<void>;
};

/** A replication slot's name has no dashes. */
export const slotOf = (id: string): string => id.replaceAll("-", "_");

export function createPostgresCluster(options: PostgresClusterOptions): PostgresCluster {
  const { servers, portTo, onPrimary } = options;
  let { primary } = options;
  function server(id: string): PostgresServer {
    const found = servers.get(id);
    if (found === undefined) throw new Error(`there is no Postgres in ${id}`);
    return found;
  }
  const upstream = (id: string, leader: string): Upstream => {
    return { host: "127.0.0.1", port: portTo(id, leader), region: id, slot: slotOf(id) };
  };
  return {
    ids: [...servers.keys()],
    primary: () => primary,
    async setPrimary(id) {
      primary = id;
      await onPrimary(id);
    },
    server,
    upstream,
    follows: (id) =>
      id === primary ? undefined : { primary: server(primary), upstream: upstream(id, primary) },
  };
}

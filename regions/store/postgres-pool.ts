import { connect, type Socket } from "node:net";
import postgres from "postgres";

/** A pool of connections of postgres.js. */
export type Pool = postgres.Sql;

export interface PoolOptions {
  /** `postgres://user:password@host:port,host:port/database` */
  url: string;
  /** Ask for the primary among all hosts; otherwise the first host is taken as it is. */
  primary: boolean;
  applicationName: string;
  /** Connections at most. */
  max?: number;
  statementTimeoutMs?: number;
  connectTimeoutMs?: number;
}

interface Host {
  host: string;
  port: number;
}

/**
 * Opens a pool; connects when the first query comes. Queries reject while the server is away and work again when it is
 * back: nothing is retried in here.
 *
 * The sockets are our own because postgres.js, given several hosts, tries them round without a pause and never rejects
 * while none of them is the primary; and because a link that was cut in mid-query would never wake it.
 */
export function openPool(options: PoolOptions): Pool {
  const { url, primary, applicationName, max = 8 } = options;
  const { statementTimeoutMs = 10_000, connectTimeoutMs = 3000 } = options;
  const hosts = parseHosts(url);
  let current: Host | undefined = primary && hosts.length > 1 ? undefined : hosts[0];

  function socketTo(target: Host): Socket {
    const socket = connect(target);
    // The server ends a statement first; only a dead link stays silent for longer.
    socket.setTimeout(statementTimeoutMs + 5000, () => socket.destroy(new SilentServerError()));
    // With several hosts, whoever was the primary may not be it any more once a connection has closed.
    if (hosts.length > 1) socket.once("close", () => (current = primary ? undefined : current));
    return Object.assign(socket, target);
  }

  function open(target: Host, extra: object): Pool {
    return postgres(url, {
      host: target.host,
      port: target.port,
      idle_timeout: 20,
      connect_timeout: connectTimeoutMs / 1000,
      fetch_types: false,
      backoff: (retries: number) => Math.min(0.05 * 2 ** retries, 1) * (0.5 + Math.random() / 2),
      onnotice: () => undefined,
      connection: {
        application_name: applicationName,
        statement_timeout: statementTimeoutMs,
        idle_in_transaction_session_timeout: statementTimeoutMs,
        /*
         * Nothing waits for it here (that takes synchronous_standby_names); but a commit marked so makes each replica
         * report at once that it has replayed it, where it would otherwise report up to 10 s later.
         */
        ...(primary ? { synchronous_commit: "remote_apply" } : {}),
      },
      ...extra,
    } as postgres.Options<{}>);
  }

  async function findPrimary(): Promise<Host> {
    const sockets: Socket[] = [];
    const probes = hosts.map(async (target) => {
      const socket = () => {
        const made = socketTo(target);
        sockets.push(made);
        return made;
      };
      const probe = open(target, { max: 1, socket });
      try {
        const [row] = await probe`select pg_is_in_recovery() as standby`;
        if (row?.standby !== false) throw new Error(`${target.host}:${target.port} is a replica`);
        return target;
      } finally {
        void probe.end({ timeout: 0 }).catch(() => undefined);
      }
    });
    try {
      return await Promise.any(probes);
    } finally {
      for (const socket of sockets) socket.destroy();
      await Promise.allSettled(probes);
    }
  }

  let search: Promise<Host> | undefined;
  async function makeSocket(): Promise<Socket> {
    try {
      current ??= await (search ??= findPrimary().finally(() => (search = undefined)));
      return socketTo(current);
    } catch (error) {
      // A socket that fails, and not a rejection: that would lose the connection its place in the pool.
      const failed = connect({ host: hosts[0]!.host, port: hosts[0]!.port });
      const reason = new NoPrimaryError(error);
      setImmediate(() => failed.destroy(reason));
      return failed;
    }
  }

  return open(hosts[0]!, {
    max,
    socket: makeSocket,
    ...(primary ? { target_session_attrs: "primary" } : {}),
  });
}

class SilentServerError extends Error {
  readonly code = "NO_ANSWER";

  constructor() {
    super("the database does not answer");
    this.name = "SilentServerError";
  }
}

/** No host of the cluster is reachable as its primary. */
export class NoPrimaryError extends Error {
  readonly code = "CONNECT_NO_PRIMARY";

  constructor(cause: unknown) {
    super("no host of the database is reachable as its primary", { cause });
    this.name = "NoPrimaryError";
  }
}

function parseHosts(url: string): Host[] {
  const authority = /^postgres(?:ql)?:\/\/(?:[^@/?]*@)?([^/?]+)/.exec(url)?.[1];
  if (!authority) throw new Error("the database's URL names no host");
  return authority.split(",").map((entry) => {
    const match = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(entry);
    if (!match) throw new Error("the database's URL names a host that cannot be read");
    return { host: match[1]!.replace(/^\[|\]$/g, ""), port: Number(match[2] ?? 5432) };
  });
}

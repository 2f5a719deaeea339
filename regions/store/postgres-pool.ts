import { connect, type Socket } from "node:net";
import postgres from "postgres";
import { readTls, speakTls } from "./speak-tls.ts";
import { LONG_START, startUpAtOnce } from "./start-up-at-once.ts";
import { withWholeTransactions } from "./whole-transactions.ts";

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
  /** Silence after which a link counts as dead; the server itself ends a statement sooner. */
  silenceMs?: number;
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
  const { silenceMs = statementTimeoutMs + 5000 } = options;
  const hosts = parseHosts(url);
  const { tls, plainUrl } = readTls(url);
  let current: Host | undefined = primary && hosts.length > 1 ? undefined : hosts[0];

  async function socketTo(target: Host, onRaw: (raw: Socket) => void = () => undefined) {
    const raw = connect(target);
    onRaw(raw);
    const socket = tls ? await speakTlsInTime(raw, target.host) : raw;
    startUpAtOnce(socket);
    endWhenSilent(socket, silenceMs);
    failInOneStep(socket);
    // With several hosts, whoever was the primary may not be it any more once a connection has closed.
    if (hosts.length > 1) socket.once("close", () => (current = primary ? undefined : current));
    return Object.assign(socket, target);
  }

  function open(target: Host, extra: object): Pool {
    return postgres(plainUrl, {
      host: target.host,
      port: target.port,
      idle_timeout: IDLE_S,
      keep_alive: 10,
      connect_timeout: connectTimeoutMs / 1000,
      fetch_types: false,
      backoff: (retries: number) => Math.min(0.05 * 2 ** retries, 1) * (0.5 + Math.random() / 2),
      onnotice: () => undefined,
      connection: {
        ...LONG_START,
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
      const socket = async () => {
        try {
          return await socketTo(target, (raw) => sockets.push(raw));
        } catch (error) {
          return failedSocket(error);
        }
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
      return await socketTo(current);
    } catch (error) {
      return failedSocket(current === undefined ? new NoPrimaryError(error) : error);
    }
  }

  /** A socket that fails, and not a rejection: that would lose the connection its place in the pool. */
  function failedSocket(reason: unknown): Socket {
    const failed = connect({ host: hosts[0]!.host, port: hosts[0]!.port });
    setImmediate(() =>
      failed.destroy(reason instanceof Error ? reason : new Error(String(reason))),
    );
    return failed;
  }

  async function speakTlsInTime(raw: Socket, host: string): Promise<Socket> {
    const late = setTimeout(() => raw.destroy(), connectTimeoutMs);
    try {
      return await speakTls(raw, host);
    } finally {
      clearTimeout(late);
    }
  }

  return withWholeTransactions(
    open(hosts[0]!, {
      max,
      socket: makeSocket,
      ...(primary ? { target_session_attrs: "primary" } : {}),
    }),
  );
}

/** A connection that nobody uses closes after this; opening one to a far primary takes many round trips. */
const IDLE_S = 60;

/**
 * Tells of a failure and of the close in one step, and of every close as a failure. postgres.js loses a query that comes
 * between the two (a caller that tries again at once does just that), and while it logs in takes a plain close, such as
 * a proxy's without a server behind it, as a reason to connect again for ever and without a pause.
 */
function failInOneStep(socket: Socket): void {
  let failure: unknown;
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  socket.emit = ((event: string | symbol, ...args: unknown[]) => {
    if (event === "error") {
      failure ??= args[0];
      return true;
    }
    if (event !== "close") return emit(event, ...args);
    if (socket.listenerCount("error") > 0) emit("error", failure ?? new LinkClosedError());
    return emit("close", true);
  }) as typeof socket.emit;
}

class LinkClosedError extends Error {
  readonly code = "CONNECTION_CLOSED";

  constructor() {
    super("the database has closed the connection");
    this.name = "LinkClosedError";
  }
}

/** Ends a connection over which nothing has come for `limitMs` since the last statement went out. */
function endWhenSilent(socket: Socket, limitMs: number): void {
  let readBefore = -1;
  const timer = setTimeout(() => {
    if (socket.bytesRead === readBefore) socket.destroy(new SilentServerError());
  }, limitMs).unref();
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = ((...args: unknown[]) => {
    readBefore = socket.bytesRead;
    timer.refresh();
    return write(...args);
  }) as typeof socket.write;
  socket.once("close", () => clearTimeout(timer));
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

import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectSecure } from "node:tls";

export interface HeadConnectionsOptions {
  host: string;
  port: number;
  /** TLS, with the host's name checked. */
  secure: boolean;
  /** Of silence, connecting included, after which a request fails; an idle connection is closed after as long. */
  timeoutMs: number;
  /** Connections at most; further requests wait for one. */
  most: number;
}

export interface HeadAnswer {
  status: number;
  /** The value of a header, by its name in lower case. */
  header(name: string): string | undefined;
}

export interface HeadConnections {
  /**
   * Sends the bytes of a request, which must be a HEAD, and settles to its answer. One that a connection ended without answering is
   * sent once more. Rejects when there is still no answer, or silence, or what is no answer to a HEAD, and with the reason of
   * `signal`.
   */
  send(request: string, signal?: AbortSignal): Promise<HeadAnswer>;
  /** Ends all connections, and what is under way on them. */
  close(): void;
}

interface Call {
  request: string;
  sent: number;
  /** Nobody waits for it any more. */
  isLeft: boolean;
  resolve(answer: HeadAnswer): void;
  reject(error: unknown): void;
}

interface Connection {
  socket: Socket;
  /** Sent and not answered yet. */
  call: Call | undefined;
}

const END = "\r\n\r\n";
const MAX_HEAD_BYTES = 64 * 1024;

/**
 * HTTP/1.1 for requests whose answers have no body. A connection has one request at a time, so that no answer can be taken for
 * another's whatever stands before the server. Connections are kept, and the one used last is taken first.
 */
export function createHeadConnections(options: HeadConnectionsOptions): HeadConnections {
  const { host, port, secure, timeoutMs, most } = options;
  const open = new Set<Connection>();
  const idle: Connection[] = [];
  let waiting: Call[] = [];
  let closed = false;

  function connect(): Connection {
    const socket = secure
      ? connectSecure({ host, port, ...(isIP(host) ? {} : { servername: host }) })
      : connectPlain({ host, port });
    const connection: Connection = { socket, call: undefined };
    open.add(connection);
    const heads = readHeads();
    socket.setNoDelay(true);
    socket.setTimeout(timeoutMs, () => {
      const silent = new Error(`no answer within ${timeoutMs} ms`);
      connection.call?.reject(silent);
      connection.call = undefined;
      end(silent);
    });
    socket.on("error", end);
    socket.on("close", () => end(new Error("the connection was closed")));
    socket.on("end", () => end(new Error("the connection was ended")));
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const answer of heads.read(chunk)) {
          const { call } = connection;
          if (!call) throw new Error("an answer came that nobody asked for");
          connection.call = undefined;
          call.resolve(answer);
          if (!answer.keepAlive) throw new Error("the connection is not kept");
        }
        if (connection.call) return;
        // It would be taken for the beginning of the next one's answer.
        if (heads.isInOne()) throw new Error("something came that nobody asked for");
      } catch (error) {
        return end(error as Error);
      }
      idle.push(connection);
      sendWaiting();
      // A process that has nothing else to do may end.
      if (!connection.call) socket.unref();
    });

    function end(error: Error): void {
      if (!open.delete(connection)) return;
      const at = idle.indexOf(connection);
      if (at >= 0) idle.splice(at, 1);
      socket.destroy();
      const { call } = connection;
      connection.call = undefined;
      if (call && (call.sent > 1 || closed)) call.reject(error);
      else if (call) waiting.unshift(call);
      sendWaiting();
    }
    return connection;
  }

  /** The next to be sent. Those that were left while they waited are passed over: a store that comes back must not answer them first. */
  function takeWaiting(): Call | undefined {
    const at = waiting.findIndex(({ isLeft }) => !isLeft);
    const [call] = waiting.splice(0, at < 0 ? waiting.length : at + 1).slice(-1);
    return at < 0 ? undefined : call;
  }

  function sendWaiting(): void {
    while (waiting.length > 0) {
      if (idle.length === 0 && open.size >= most) return;
      const call = takeWaiting();
      if (!call) return;
      const connection = idle.pop() ?? connect();
      connection.call = call;
      call.sent += 1;
      connection.socket.ref();
      connection.socket.write(call.request, "latin1");
    }
  }

  return {
    async send(request, signal) {
      signal?.throwIfAborted();
      if (closed) throw new Error("the connections are closed");
      return new Promise((resolve, reject) => {
        // Where it was sent its answer still comes, and must not be the next one's.
        const abort = () => {
          call.isLeft = true;
          reject(signal!.reason as Error);
        };
        const settled = () => signal?.removeEventListener("abort", abort);
        signal?.addEventListener("abort", abort, { once: true });
        const call: Call = {
          request,
          sent: 0,
          isLeft: false,
          resolve(answer) {
            settled();
            resolve(answer);
          },
          reject(error) {
            settled();
            reject(error as Error);
          },
        };
        waiting.push(call);
        sendWaiting();
      });
    },
    close() {
      closed = true;
      const unsent = waiting;
      waiting = [];
      for (const { reject } of unsent) reject(new Error("the connections are closed"));
      for (const { socket } of open) socket.destroy();
    },
  };
}

type Head = HeadAnswer & { keepAlive: boolean };

/** Puts answers together from bytes as they come. */
function readHeads() {
  let text = "";
  return {
    /** The answers that are complete. @throws Error when they are none */
    read(chunk: Buffer): Head[] {
      text += chunk.toString("latin1");
      const heads: Head[] = [];
      let from = 0;
      for (let end = text.indexOf(END); end >= 0; end = text.indexOf(END, from)) {
        const head = readHead(text.slice(from, end));
        from = end + END.length;
        // An interim answer: the one that counts comes behind it.
        if (head.status >= 200) heads.push(head);
      }
      text = text.slice(from);
      if (text.length > MAX_HEAD_BYTES) throw new Error("the head of an answer is too long");
      return heads;
    },
    /** Whether a part of another one has come. */
    isInOne: () => text !== "",
  };
}

/** Status line and headers of an answer (RFC 9112, 4 and 5), without their end. @throws Error when it is none */
function readHead(head: string): Head {
  const [, minor, status] = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |\r|$)/.exec(head) ?? [];
  if (minor === undefined) throw new Error("what came is no answer");
  const lower = head.toLowerCase();
  const header = (name: string) => {
    const at = lower.indexOf(`\r\n${name}:`);
    if (at < 0) return undefined;
    const from = at + name.length + 3;
    const end = head.indexOf("\r\n", from);
    return head.slice(from, end < 0 ? head.length : end).trim();
  };
  const connection = header("connection")?.toLowerCase();
  const keepAlive = minor === "1" ? connection !== "close" : connection === "keep-alive";
  return { status: Number(status), header, keepAlive };
}

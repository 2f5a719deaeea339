import { once } from "node:events";
import { isIP, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";

/** Asks a Postgres server to go over to TLS: the length, then the code 1234.5679. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const YES = "S".charCodeAt(0);

/** Whether a database's URL asks for TLS; and what is left of it for a driver that is given sockets which speak it already. */
export function readTls(url: string): { tls: boolean; plainUrl: string } {
  const mode = /[?&]sslmode=([\w-]+)/.exec(url)?.[1];
  if (mode === undefined || mode === "disable") return { tls: false, plainUrl: url };
  if (mode !== "verify-full")
    throw new Error(`sslmode is ${mode}: only verify-full and disable are known`);
  return { tls: true, plainUrl: url.replace(/([?&])sslmode=[\w-]+&?/, "$1").replace(/[?&]$/, "") };
}

/**
 * Goes over to TLS on a connection that is being made, and resolves when the server's certificate has been found to be good for `host`.
 * Ours and not postgres.js's, which leaves a connection without a listener for errors when what is below it is destroyed: a link that dies
 * at the wrong moment would end the process.
 */
export async function speakTls(raw: Socket, host: string): Promise<TLSSocket> {
  raw.on("error", () => undefined);
  raw.write(SSL_REQUEST);
  const [answer] = (await Promise.race([once(raw, "data"), closeOf(raw)])) as [Buffer];
  if (answer.length !== 1 || answer[0] !== YES) {
    raw.destroy();
    throw new Error(`${host} speaks no TLS`);
  }
  const socket = connect({ socket: raw, ...(isIP(host) ? { host } : { host, servername: host }) });
  // It has to have one for as long as it lives, whoever else listens.
  socket.on("error", () => undefined);
  try {
    await once(socket, "secureConnect");
  } catch (error) {
    raw.destroy();
    throw error;
  }
  return socket;
}

async function closeOf(raw: Socket): Promise<never> {
  await once(raw, "close");
  throw new Error("the connection was closed before it spoke TLS");
}

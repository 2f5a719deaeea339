import { connect, type Socket } from "node:net";
import { once } from "node:events";

/**
 * Sends requests over `connections` kept-alive connections, one under way on each, and settles to the ms it took.
 * Written on bare sockets: a client that costs more than the server would measure itself.
 * @throws Error when an answer is not `status`
 */
export async function postAll(
  port: number,
  requests: readonly Buffer[],
  { connections, status }: { connections: number; status: number },
): Promise<number> {
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(port, "127.0.0.1").setNoDelay(true);
      await once(socket, "connect");
      return socket;
    }),
  );
  let next = 0;
  const start = performance.now();
  try {
    await Promise.all(
      sockets.map((socket) => converse(socket, () => requests[next++], `HTTP/1.1 ${status} `)),
    );
    return performance.now() - start;
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function converse(socket: Socket, take: () => Buffer | undefined, begins: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    const send = () => {
      const request = take();
      if (request === undefined) resolve();
      else socket.write(request);
    };
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      const head = text.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1];
      if (length === undefined) return reject(new Error(`an answer without a length: ${text}`));
      if (text.length < head + 4 + Number(length)) return;
      if (!text.startsWith(begins)) return reject(new Error(`refused: ${text}`));
      text = "";
      send();
    });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the server closed a connection")));
    send();
  });
}

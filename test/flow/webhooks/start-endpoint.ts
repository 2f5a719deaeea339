import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface ReceivedWebhook {
  headers: Record<string, string>;
  body: string;
}

export interface WebhookEndpointServer {
  url: string;
  received: ReceivedWebhook[];
  /** How it answers; 200 unless a test says otherwise. */
  answer: (response: ServerResponse, request: IncomingMessage) => void;
  /** Connections that are open now. */
  open(): number;
  close(): Promise<void>;
}

/** A client's server that takes webhooks, or does worse. */
export async function startEndpoint(): Promise<WebhookEndpointServer> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      );
      endpoint.received.push({ headers, body });
      endpoint.answer(response, request);
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const endpoint: WebhookEndpointServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received: [],
    answer: (response) => void response.end("thank you"),
    open: () => sockets.size,
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return endpoint;
}

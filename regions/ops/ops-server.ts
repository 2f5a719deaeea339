import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createOpsRoutes, type OpsRoutesOptions } from "./ops-routes.ts";

export interface OpsServer {
  /** The port it listens on (the one the system chose, when 0 was asked for). */
  port: number;
  close(): Promise<void>;
}

/** Serves the ops routes on a port of their own; for processes that have no other server. */
export async function createOpsServer(
  options: OpsRoutesOptions & { port?: number; hostname?: string },
): Promise<OpsServer> {
  const { port = 0, hostname } = options;
  const listener = getRequestListener(createOpsRoutes(options).fetch);
  const server = createServer((request, response) => void listener(request, response));
  server.listen(port, hostname);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

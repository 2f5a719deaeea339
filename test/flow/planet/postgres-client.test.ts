import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createPostgresServer } from "../../../scripts/planet/postgres-server.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(() => cluster.close());

/** A way to the server on which a connection breaks at the first question after its log-in. */
async function startBreakingLine(): Promise<number> {
  const sockets = new Set<Socket>();
  const line = createServer((client) => {
    const server = connect(cluster.primary.server.port, "127.0.0.1");
    let ready = false;
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
    }
    server.on("data", (bytes) => {
      // ReadyForQuery, which ends the log-in.
      ready ||= bytes.includes(Buffer.from([0x5a, 0, 0, 0, 5]));
      client.write(bytes);
    });
    client.on("data", (bytes) => {
      if (!ready) return server.write(bytes);
      server.destroy();
      return client.resetAndDestroy();
    });
  });
  line.listen(0, "127.0.0.1");
  await once(line, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    line.close();
  });
  return (line.address() as AddressInfo).port;
}

test("a server that dies as a client has just come is that client's own failure, and nobody else's", async () => {
  const uncaught: unknown[] = [];
  const catches = (error: unknown) => void uncaught.push(error);
  process.on("unhandledRejection", catches);
  onTestFinished(() => void process.off("unhandledRejection", catches));
  const { connectAsSuperuser } = createPostgresServer({
    name: "primary",
    dir: "/nowhere",
    port: await startBreakingLine(),
    passwords: { superuser: "superuser", services: "services", replicator: "replicator" },
    logFile: "/dev/null",
  });
  const sql = connectAsSuperuser();
  onTestFinished(() => sql.end({ timeout: 1 }));
  await expect(sql`select 1`).rejects.toThrow();
  // By the next turn of the loop all is told of that was rejected with it.
  await setImmediate();
  expect(uncaught).toEqual([]);
});

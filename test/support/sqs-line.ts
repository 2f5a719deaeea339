import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A way to an SQS on this machine on which calls can get lost. */
export interface SqsLine {
  url: string;
  /** Calls of these names, such as `DeleteMessage`, are cut off before they arrive. */
  lost: Set<string>;
  /** The calls that arrived, with what they asked for, oldest first. */
  calls: { name: string; input: Record<string, unknown> }[];
  /** Resolves once so many receives in a row found nothing, from now on. */
  emptyReceives(inARow: number): Promise<void>;
  close(): Promise<void>;
}

export async function startSqsLine(toPort: number): Promise<SqsLine> {
  const lost = new Set<string>();
  const calls: SqsLine["calls"] = [];
  const waiting = new Set<{ left: number; inARow: number; resolve(): void }>();
  function received(anything: boolean): void {
    for (const waiter of waiting) {
      waiter.left = anything ? waiter.inARow : waiter.left - 1;
      if (waiter.left > 0) continue;
      waiting.delete(waiter);
      waiter.resolve();
    }
  }
  const server = createServer((request, response) => {
    void (async () => {
      const name = String(request.headers["x-amz-target"]).replace(/^.*\./, "");
      const body = (await request.setEncoding("utf8").toArray()).join("");
      if (lost.has(name)) return request.socket.destroy();
      const { host: _, "content-length": __, connection: ___, ...headers } = request.headers;
      const answer = await fetch(`http://127.0.0.1:${toPort}/`, {
        method: "POST",
        headers: headers as Record<string, string>,
        body,
      });
      calls.push({ name, input: JSON.parse(body) as Record<string, unknown> });
      const type = { "content-type": answer.headers.get("content-type") ?? "" };
      const text = await answer.text();
      if (name === "ReceiveMessage") received(text.includes('"Messages"'));
      return response.writeHead(answer.status, type).end(text);
      // The caller left in the middle of it, or SQS has ended with the tests.
    })().catch(() => request.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lost,
    calls,
    emptyReceives: (inARow) =>
      new Promise((resolve) => waiting.add({ left: inARow, inARow, resolve })),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A way to an SQS on this machine on which calls can get lost. */
export interface SqsLine {
  url: string;
  /** Calls of these names, such as `DeleteMessage`, are cut off before they arrive. */
  lost: Set<string>;
  /** What was sent and arrived, oldest first. */
  sent: { MessageGroupId?: string }[];
  close(): Promise<void>;
}

export async function startSqsLine(toPort: number): Promise<SqsLine> {
  const lost = new Set<string>();
  const sent: SqsLine["sent"] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const call = String(request.headers["x-amz-target"]).replace(/^.*\./, "");
      const body = await request.setEncoding("utf8").toArray();
      if (lost.has(call)) return request.socket.destroy();
      const { host: _, "content-length": __, connection: ___, ...headers } = request.headers;
      const answer = await fetch(`http://127.0.0.1:${toPort}/`, {
        method: "POST",
        headers: headers as Record<string, string>,
        body: body.join(""),
      });
      if (call === "SendMessage")
        sent.push(JSON.parse(body.join("")) as { MessageGroupId?: string });
      const type = { "content-type": answer.headers.get("content-type") ?? "" };
      return response.writeHead(answer.status, type).end(await answer.text());
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lost,
    sent,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

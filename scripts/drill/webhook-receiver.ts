import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Takes the webhooks of a drill's jobs, as a client's own server would. */
export interface WebhookReceiver {
  readonly url: string;
  /** By job and event, the ids that came: more than one is an effect that was doubled. */
  readonly ids: ReadonlyMap<string, ReadonlySet<string>>;
  close(): Promise<void>;
}

const MAX_BYTES = 1024 * 1024;

export async function receiveWebhooks(): Promise<WebhookReceiver> {
  const ids = new Map<string, Set<string>>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BYTES) chunks.push(chunk);
    });
    request.on("end", () => {
      const id = request.headers["webhook-id"];
      const event = eventOf(Buffer.concat(chunks).toString());
      if (event !== undefined && typeof id === "string") {
        ids.set(event, (ids.get(event) ?? new Set()).add(id));
      }
      response.writeHead(event === undefined ? 400 : 204).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/webhooks`,
    ids,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function eventOf(body: string): string | undefined {
  try {
    const { type, data } = JSON.parse(body) as { type?: string; data?: { job_id?: string } };
    return type !== undefined && data?.job_id !== undefined ? `${data.job_id} ${type}` : undefined;
  } catch {
    return undefined;
  }
}

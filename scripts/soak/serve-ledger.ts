import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { CompletionBatch, OutboxEnvelope } from "../../shared/contracts/completion.ts";
import { problemResponse } from "../../shared/errors/problem.ts";
import { SIGNATURE_HEADER, verifyLinkRequest } from "../../shared/signing/link-signature.ts";
import { createNonceMemory } from "../../shared/signing/nonce-memory.ts";
import type { ClientLedger } from "./client-ledger.ts";

const Rows = z.strictObject({ envelopes: z.array(OutboxEnvelope) });

/** Serves a soak's ledger as the edge does (`/internal/completions`, signed), and as the database (`/rows`). */
export async function serveLedger(ledger: ClientLedger, linkSecret: string) {
  const isFresh = createNonceMemory();
  const server = createServer((request, response) => {
    void (async () => {
      try {
        const answer = await handle(request);
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
      } catch (error) {
        const problem = problemResponse(error, "req_soak");
        response.writeHead(problem.status).end(await problem.text());
      }
    })();
  });

  async function handle(request: IncomingMessage): Promise<unknown> {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const { method = "", url: target = "", headers } = request;
    if (target === "/rows") {
      for (const envelope of Rows.parse(JSON.parse(body)).envelopes) ledger.write(envelope);
      return {};
    }
    const signature = headers[SIGNATURE_HEADER] as string;
    const signed = { method, target, body, audience: "edge" };
    await verifyLinkRequest([linkSecret], signed, signature, isFresh);
    const { offers } = CompletionBatch.parse(JSON.parse(body));
    return { verdicts: offers.map((offer) => ledger.verdict(offer)) };
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close(): Promise<void> {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

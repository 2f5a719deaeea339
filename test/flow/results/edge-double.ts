import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { CompletionBatch, type CompletionVerdict } from "../../../shared/contracts/completion.ts";
import { compareEpochs, type Epoch } from "../../../shared/contracts/epoch.ts";
import { ApiError, problemResponse } from "../../../shared/errors/problem.ts";
import { verifyLinkRequest } from "../../../shared/signing/link-signature.ts";
import { createNonceMemory } from "../../../shared/signing/nonce-memory.ts";

export interface EdgeDouble {
  url: string;
  /** Final epoch by job, as the ledger would keep it. */
  finals: Map<string, Epoch>;
  /** Jobs that the ledger knows; all of them, when undefined. */
  known: Set<string> | undefined;
  /** Jobs that were canceled while their region was away. */
  canceled: Set<string>;
  /** Job ids in the order they were offered. */
  offered: string[];
  /** Jobs whose mere presence makes a batch invalid. */
  invalid: Set<string>;
  /** Jobs on which there is no verdict: their shard of the ledger is away. */
  undecided: Set<string>;
  /** Awaited between verdict and answer. */
  beforeAnswer: () => Promise<void>;
  away: boolean;
  close(): Promise<void>;
}

/** A server that gives the ledger's verdicts: the first offer of a job is final. It checks signatures as the edge does. */
export async function startEdgeDouble(secret: string): Promise<EdgeDouble> {
  const isFresh = createNonceMemory();
  const server = createServer((request, response) => {
    void (async () => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      try {
        const { method = "", url: target = "" } = request;
        const signature = request.headers["antiphon-signature"] as string;
        await verifyLinkRequest(
          [secret],
          { method, target, body, audience: "edge" },
          signature,
          isFresh,
        );
        if (edge.away) throw new ApiError("dependency_unavailable");
        if (
          target !== "/internal/completions" ||
          request.headers["antiphon-region"] !== "us-east"
        ) {
          throw new ApiError("not_found");
        }
        const batch = CompletionBatch.parse(JSON.parse(body));
        if (batch.offers.some(({ job_id }) => edge.invalid.has(job_id)))
          throw new ApiError("invalid_request");
        const decided = batch.offers.filter(({ job_id }) => !edge.undecided.has(job_id));
        const verdicts = decided.map(({ job_id, epoch }): CompletionVerdict => {
          edge.offered.push(job_id);
          if (edge.known && !edge.known.has(job_id)) return { job_id, epoch, verdict: "unknown" };
          if (edge.canceled.has(job_id)) return { job_id, epoch, verdict: "canceled" };
          const final = edge.finals.get(job_id) ?? epoch;
          edge.finals.set(job_id, final);
          return {
            job_id,
            epoch,
            verdict: compareEpochs(final, epoch) === 0 ? "accepted" : "superseded",
          };
        });
        await edge.beforeAnswer();
        response
          .writeHead(200, { "content-type": "application/json" })
          .end(JSON.stringify({ verdicts }));
      } catch (error) {
        const problem = problemResponse(error, "req_test");
        response
          .writeHead(problem.status, Object.fromEntries(problem.headers))
          .end(await problem.text());
      }
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const edge: EdgeDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    finals: new Map(),
    known: undefined,
    canceled: new Set(),
    offered: [],
    invalid: new Set(),
    undecided: new Set(),
    beforeAnswer: async () => undefined,
    away: false,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return edge;
}

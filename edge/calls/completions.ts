import { CompletionBatch, type CompletionVerdict } from "../../shared/contracts/completion.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { SIGNATURE_HEADER, verifyLinkRequest } from "../../shared/signing/link-signature.ts";
import { createNonceMemory } from "../../shared/signing/nonce-memory.ts";
import { MAX_INTERNAL_BYTES, parseJson, readText } from "../admit/read-body.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** `POST /internal/completions`: a region's offers of final states, and the ledger's verdict on each. */
export function receiveCompletions({ config, ledger }: EdgeServices) {
  // This isolate's memory is enough: the same offer again gets the same verdict.
  const isFresh = createNonceMemory();

  return async (c: EdgeContext): Promise<Response> => {
    const region = c.req.header("antiphon-region");
    const signature = c.req.header(SIGNATURE_HEADER);
    if (region === undefined || signature === undefined) throw new ApiError("unsigned_request");
    const secrets = Object.hasOwn(config.linkSecrets, region) ? config.linkSecrets[region]! : [];
    const body = await readText(
      c.req.raw as Request & { body: ReadableStream },
      MAX_INTERNAL_BYTES,
    );
    const url = new URL(c.req.url);
    const target = url.pathname + url.search;
    const request = { method: c.req.method, target, body, audience: "edge" };
    await verifyLinkRequest(secrets, request, signature, isFresh);

    const { offers } = parseRequest(CompletionBatch, parseJson(body));
    // One region's secret must not be enough to end the jobs of another.
    if (offers.some((offer) => offer.region !== region)) {
      throw new ApiError("invalid_request", "A region may only offer what ran there.");
    }
    const decided = await ledger.complete(offers);
    const verdicts = offers.map(({ job_id, epoch }, i): CompletionVerdict => ({
      job_id,
      epoch,
      verdict: decided[i]!,
    }));
    return json({ verdicts });
  };
}

import { z } from "zod";
import { ErrorCode } from "../../shared/errors/catalogue.ts";
import { FieldError } from "../../shared/errors/explain-request.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { sha256Hex } from "../../shared/signing/hmac.ts";
import type { EdgeContext } from "../context.ts";
import type { IdempotencyClient } from "../ledger/idempotency-client.ts";
import type { StoredAnswer } from "../ledger/idempotency.ts";
import { describeError, log } from "../ops/log.ts";
import { seal, unseal } from "./seal.ts";

const MAX_ANSWER_CHARS = 64 * 1024;

const StoredError = z.strictObject({
  code: ErrorCode,
  detail: z.string(),
  errors: z.array(FieldError).optional(),
});

export interface OnceInput {
  /** What makes two requests the same, besides method and path; usually the body. */
  body: string;
  /** Mints the id of what would be created. A resumed request gets the id of the first. */
  mintId(): string;
  /** The answer holds a secret: it is sealed with the caller's own API key, and kept for that key alone. */
  secret?: boolean;
}

export type Once = (
  c: EdgeContext,
  input: OnceInput,
  run: (id: string) => Promise<Response>,
) => Promise<Response>;

/**
 * Runs a POST at most once per `Idempotency-Key`: the same request again gets the stored answer, another
 * one under the same key is refused, and one that died before it answered is resumed under the same id.
 * What may succeed later (a retryable error) is not kept.
 * @throws ApiError invalid_request | idempotency_key_reused | request_in_progress
 */
export function createOnce(client: IdempotencyClient): Once {
  return async (c, input, run) => {
    const given = c.req.header("idempotency-key");
    if (given === undefined) return run(input.mintId());
    if (!/^[\x21-\x7e]{1,255}$/.test(given)) {
      throw new ApiError("invalid_request", "The idempotency key is not valid.", {
        errors: [{ path: "Idempotency-Key", message: "must be 1 to 255 visible ASCII characters" }],
      });
    }
    const { key, apiKey } = c.get("caller");
    const owner = { tenantId: key.tenant_id, residency: key.residency };
    // Of a fixed form, so that neither a tenant's key nor another kind of call can meet this one.
    const keyHash = await sha256Hex(
      JSON.stringify([input.secret ? key.key_id : "", c.req.method, c.req.path, given]),
    );
    const fingerprint = await sha256Hex(input.body);
    const claim = await client.claim(owner, { keyHash, fingerprint, resourceId: input.mintId() });
    if (claim.kind === "reused") throw new ApiError("idempotency_key_reused");
    if (claim.kind === "busy") {
      throw new ApiError("request_in_progress", undefined, { headers: { "retry-after": "1" } });
    }
    if (claim.kind === "replay") {
      const { answer } = claim;
      if (!input.secret) return replay(answer);
      // A key opens what it sealed; of two tokens for one caller, only the one that asked first.
      const body = await unseal(apiKey, answer.body).catch((cause: unknown) => {
        throw new ApiError("idempotency_key_reused", undefined, { cause });
      });
      return replay({ ...answer, body });
    }

    const keep = (answer: StoredAnswer) => client.answer(owner, keyHash, claim.token, answer);
    try {
      const response = await run(claim.resourceId);
      const body = await response.clone().text();
      if (body.length > MAX_ANSWER_CHARS) throw new Error("the answer is too long to be kept");
      await keep({
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: input.secret ? await seal(apiKey, body) : body,
      });
      return response;
    } catch (error) {
      const final = error instanceof ApiError && !error.retryable;
      const { code, message: detail, errors } = error as ApiError;
      const body = JSON.stringify({ code, detail, ...(errors ? { errors } : {}) });
      const settled = final
        ? keep({ status: 0, headers: {}, body: input.secret ? await seal(apiKey, body) : body })
        : client.release(owner, keyHash, claim.token);
      await settled.catch((failure: unknown) =>
        log("warn", "an idempotency claim was left to time out", { error: describeError(failure) }),
      );
      throw error;
    }
  };
}

/** Status 0 marks a stored error, which is thrown again, so that it carries this request's own id. */
function replay(answer: StoredAnswer): Response {
  const marker = { "idempotency-replayed": "true" };
  if (answer.status === 0) {
    const { code, detail, errors } = StoredError.parse(JSON.parse(answer.body));
    throw new ApiError(code, detail, { headers: marker, ...(errors ? { errors } : {}) });
  }
  return new Response(answer.body, {
    status: answer.status,
    headers: { ...answer.headers, ...marker },
  });
}

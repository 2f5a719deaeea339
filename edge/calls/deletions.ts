import {
  CreateDeletion,
  DeletionId,
  MAX_OPEN_DELETIONS,
  mintDeletionId,
  type DeletionFacts,
  type DeletionScope,
} from "../../shared/contracts/deletions.ts";
import { JobId, readId } from "../../shared/contracts/ids.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { publicKeys, signReceipt } from "../../shared/signing/receipt.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import { refuseTokens } from "../admit/require-api-key.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";

/** What the ledger no longer knows after so long, stores may still have. */
const LEDGER_KNOWS_MS = 29 * 24 * 3_600_000;

/** Delete-my-data: `POST /v1/deletions`, `DELETE /v1/jobs/{id}`, `GET /v1/deletions/{id}`, and the keys that receipts verify with. */
export function deletionCalls(services: EdgeServices, now: () => number = Date.now) {
  const { config, deletions, tombstones, ledger, once } = services;

  const ownerOf = (c: EdgeContext) => {
    const { tenant_id: tenantId, residency } = c.get("caller").key;
    return { tenantId, residency };
  };

  function signingKey() {
    const [key] = config.receiptKeys;
    if (key) return key;
    throw new ApiError("not_available", "This deployment has no key to sign receipts with.");
  }

  async function answer(c: EdgeContext, facts: DeletionFacts, status: number): Promise<Response> {
    const location = `${baseUrl(c, config.publicUrl)}/v1/deletions/${facts.id}`;
    return json(await signReceipt(signingKey(), facts), status, { location });
  }

  async function begin(c: EdgeContext, id: string, scope: DeletionScope): Promise<Response> {
    signingKey();
    const owner = ownerOf(c);
    if ("job_id" in scope) await knownJob(owner.tenantId, scope.job_id);
    const askedBy = { actor: c.get("caller").key.key_id, request_id: c.get("requestId") };
    const facts = await deletions.create({ id, ...owner, scope, askedBy });
    if (!facts) {
      throw new ApiError(
        "rate_limited",
        `At most ${MAX_OPEN_DELETIONS} deletions may be open at once; some regions have yet to do their part.`,
        { headers: { "retry-after": "60" } },
      );
    }
    tombstones.forget(owner);
    return answer(c, facts, 202);
  }

  /** @throws ApiError job_not_found for what is not the tenant's, or was deleted before */
  async function knownJob(tenantId: string, id: string): Promise<void> {
    const createdAtMs = readId(id)?.createdAtMs ?? now();
    if (createdAtMs < now() - LEDGER_KNOWS_MS) return;
    if (!(await ledger.knows({ id, tenant_id: tenantId }))) throw new ApiError("job_not_found");
  }

  async function create(c: EdgeContext): Promise<Response> {
    const body = await readJsonText(c.req.raw);
    const scope = parseRequest(CreateDeletion, parseJson(body));
    if (!("job_id" in scope)) refuseTokens(c);
    return once(c, { body, mintId: () => mintDeletionId(now()) }, (id) => begin(c, id, scope));
  }

  async function deleteJob(c: EdgeContext): Promise<Response> {
    const id = JobId.safeParse(c.req.param("id"));
    if (!id.success) throw new ApiError("job_not_found");
    return begin(c, mintDeletionId(now()), { job_id: id.data });
  }

  async function read(c: EdgeContext): Promise<Response> {
    const id = DeletionId.safeParse(c.req.param("id"));
    const facts = id.success ? await deletions.read(ownerOf(c), id.data) : null;
    if (!facts) throw new ApiError("not_found", "There is no such deletion.");
    return answer(c, facts, 200);
  }

  const keys = (): Response =>
    json(publicKeys(config.receiptKeys), 200, { "cache-control": "public, max-age=300" });

  return { create, deleteJob, read, keys };
}

import type { Residency } from "../../shared/contracts/regions.ts";
import { fnv1a } from "../../shared/policies/ledger-shard.ts";
import type { Claim, ClaimAnswer, Idempotency, StoredAnswer } from "./idempotency.ts";
import { createCallObject, type Placement } from "./placement.ts";

const BUCKETS = 16;

/** Whose keys they are; answers hold the tenant's content, so they lie where its residency says. */
export interface ClaimOwner {
  tenantId: string;
  residency: Residency;
}

export interface IdempotencyClient {
  claim(owner: ClaimOwner, claim: Claim): Promise<ClaimAnswer>;
  answer(owner: ClaimOwner, keyHash: string, token: number, answer: StoredAnswer): Promise<void>;
  release(owner: ClaimOwner, keyHash: string, token: number): Promise<void>;
}

export function createIdempotencyClient(
  namespace: DurableObjectNamespace<Idempotency>,
  placement: Placement,
): IdempotencyClient {
  const callObject = createCallObject(namespace, placement);

  function call<R>(
    owner: ClaimOwner,
    keyHash: string,
    run: (bucket: DurableObjectStub<Idempotency>) => Promise<R>,
  ): Promise<R> {
    return callObject(`${owner.tenantId}/${fnv1a(keyHash) % BUCKETS}`, owner.residency, run);
  }

  return {
    claim: (owner, claim) =>
      call(owner, claim.keyHash, (bucket) => bucket.claim(claim) as Promise<ClaimAnswer>),
    answer: (owner, keyHash, token, answer) =>
      call(owner, keyHash, (bucket) => bucket.answer(keyHash, token, answer)),
    release: (owner, keyHash, token) =>
      call(owner, keyHash, (bucket) => bucket.release(keyHash, token)),
  };
}

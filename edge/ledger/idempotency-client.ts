import type { Residency } from "../../shared/contracts/regions.ts";
import { fnv1a } from "../../shared/policies/ledger-shard.ts";
import type { Claim, ClaimAnswer, Idempotency, Redact, StoredAnswer } from "./idempotency.ts";
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
  /** Takes the content out of stored answers; settles to how many there were. */
  redact(owner: ClaimOwner, which: Redact): Promise<number>;
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
    async redact(owner, which) {
      const counts = await Promise.all(
        Array.from({ length: BUCKETS }, (_, bucket) =>
          callObject(`${owner.tenantId}/${bucket}`, owner.residency, (object) =>
            object.redact(which),
          ),
        ),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    },
    release: (owner, keyHash, token) =>
      call(owner, keyHash, (bucket) => bucket.release(keyHash, token)),
  };
}

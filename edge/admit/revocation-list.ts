import { ApiError } from "../../shared/errors/problem.ts";
import { createCallObject } from "../ledger/placement.ts";
import { REVOCATION_KEPT_MS, type Revocation, type Revocations } from "./revocations.ts";
import { withTimeout } from "./with-timeout.ts";

/** An isolate asks again at most this often, and trusts no list that is older than the second limit. */
const REFRESH_AFTER_MS = 5_000;
const TRUSTED_FOR_MS = 10_000;
const REFRESH_TIMEOUT_MS = 2_000;

export interface RevocationSource {
  append(keyId: string): Promise<void>;
  list(seq: number): Promise<{ entries: Revocation[]; more: boolean }>;
}

export interface RevocationList {
  /** @throws ApiError dependency_unavailable when the list is too old to be trusted */
  isRevoked(keyId: string): Promise<boolean>;
  revoke(keyId: string): Promise<void>;
}

/** The one Revocations object of the deployment. */
export function createRevocationSource(
  namespace: DurableObjectNamespace<Revocations>,
): RevocationSource {
  const callObject = createCallObject(namespace, { jurisdictions: false });
  return {
    append: (keyId) => callObject("all", "global", (object) => object.append(keyId)),
    list: (seq) => callObject("all", "global", (object) => object.list(seq)),
  };
}

/** This isolate's copy of the list. Fails closed: a list that cannot be refreshed lets nobody in. */
export function createRevocationList(
  source: RevocationSource,
  now: () => number = Date.now,
): RevocationList {
  const revoked = new Map<string, number>();
  let seq = 0;
  let refreshedAt = Number.NEGATIVE_INFINITY;
  let askedAt = Number.NEGATIVE_INFINITY;

  async function refresh(): Promise<void> {
    // The list is as old as the question, not as the answer.
    const asked = now();
    askedAt = asked;
    for (let more = true; more;) {
      const page = await withTimeout(source.list(seq), REFRESH_TIMEOUT_MS);
      for (const entry of page.entries) {
        revoked.set(entry.keyId, entry.revokedAt);
        seq = Math.max(seq, entry.seq);
      }
      more = page.more;
    }
    refreshedAt = Math.max(refreshedAt, asked);
    for (const [keyId, at] of revoked) {
      if (at > asked - REVOCATION_KEPT_MS) break;
      revoked.delete(keyId);
    }
  }

  async function isRevoked(keyId: string): Promise<boolean> {
    const age = now() - refreshedAt;
    // One request at a time goes and asks; the others may use the list while it can still be trusted.
    if (
      age >= TRUSTED_FOR_MS ||
      (age >= REFRESH_AFTER_MS && now() - askedAt >= REFRESH_TIMEOUT_MS)
    ) {
      try {
        await refresh();
      } catch (cause) {
        if (now() - refreshedAt >= TRUSTED_FOR_MS) {
          throw new ApiError("dependency_unavailable", "Revoked keys cannot be told apart now.", {
            cause,
          });
        }
      }
    }
    return revoked.has(keyId);
  }

  async function revoke(keyId: string): Promise<void> {
    await source.append(keyId);
    revoked.set(keyId, now());
  }

  return { isRevoked, revoke };
}

import { coversJob, type JobIdentity } from "../../shared/contracts/deletions.ts";
import type { IsDeleted } from "./is-deleted.ts";
import type { DeletionsClient } from "../ledger/deletions-client.ts";
import type { DeletionOwner } from "../ledger/forgotten.ts";
import type { RecentTombstones } from "../ledger/deletions.ts";

/** A tenant's list is asked for again after this long; it bounds how long this isolate may still show what was deleted. */
const FRESH_MS = 5_000;
const MAX_TENANTS = 1_000;
/** How long a link to a recording holds at most (see describe-job.ts); one of a job that was read just now may be taken for older. */
const LONGEST_LINK_MS = 5_400_000;

/** What the edge itself could still show of deleted data: rows of a replica that lags, and recordings by links of an hour. */
export interface EdgeTombstones {
  /** Whether a tenant's job was deleted. @throws ApiError dependency_unavailable */
  coversJobs(owner: DeletionOwner): Promise<(job: JobIdentity) => boolean>;
  /** Whether a link to a recording may have been made before that was deleted. @throws ApiError dependency_unavailable */
  coversAudio: IsDeleted;
  /** To be called when this isolate has deleted something: asks anew. */
  forget(owner: DeletionOwner): void;
}

export function createEdgeTombstones(
  client: Pick<DeletionsClient, "recent">,
  now: () => number = Date.now,
): EdgeTombstones {
  const lists = new Map<string, { at: number; list: RecentTombstones }>();
  const nameOf = ({ residency, tenantId }: DeletionOwner) => `${residency}/${tenantId}`;

  async function listOf(owner: DeletionOwner): Promise<RecentTombstones> {
    const known = lists.get(nameOf(owner));
    if (known && now() - known.at < FRESH_MS) return known.list;
    const at = now();
    const list = await client.recent(owner);
    lists.delete(nameOf(owner));
    if (lists.size >= MAX_TENANTS) lists.delete(lists.keys().next().value!);
    lists.set(nameOf(owner), { at, list });
    return list;
  }

  return {
    async coversJobs(owner) {
      const { scopes, jobs } = await listOf(owner);
      const named = new Set(jobs);
      return (job) => named.has(job.id) || scopes.some((order) => coversJob(order, job));
    },
    async coversAudio(owner, sha256, linkEndsAtMs) {
      const linkMadeAtMs = linkEndsAtMs - LONGEST_LINK_MS;
      const { scopes, audio } = await listOf(owner);
      const deletedAt = audio.find(([hash]) => hash === sha256)?.[1] ?? Number.NEGATIVE_INFINITY;
      return (
        linkMadeAtMs <= deletedAt ||
        scopes.some(
          ({ scope, requested_at }) => "all" in scope && linkMadeAtMs <= Date.parse(requested_at),
        )
      );
    },
    forget: (owner) => void lists.delete(nameOf(owner)),
  };
}

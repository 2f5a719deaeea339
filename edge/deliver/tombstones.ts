import type { JobIdentity } from "../../shared/contracts/deletions.ts";
import {
  audioMark,
  coversMarked,
  EVERYTHING,
  marksOfJob,
  type MarkCursor,
  type MarkPage,
} from "../ledger/deletion-marks.ts";
import type { DeletionsClient } from "../ledger/deletions-client.ts";
import type { DeletionOwner } from "../ledger/forgotten.ts";
import type { IsDeleted } from "./is-deleted.ts";

/** A tenant's object is asked for news again after this long; it bounds how long this isolate may still show what was deleted. */
const FRESH_MS = 5_000;
/** What a tenant's object has dropped is dropped here by reading anew what it has. */
const READ_ANEW_MS = 3_600_000;
/** How long a link to a recording holds at most (see describe-job.ts); one of a job that was read just now may be taken for older. */
const LONGEST_LINK_MS = 5_400_000;

/** What the edge itself could still show of deleted data: rows of a replica that lags, and recordings by links of an hour. */
export interface EdgeTombstones {
  /** Which of a tenant's jobs were deleted. Settles to the question itself, so that it can be read for beside them. @throws ApiError dependency_unavailable */
  ofJobs(owner: DeletionOwner): Promise<FindDeleted>;
  /** Whether a link to a recording may have been made before that was deleted. @throws ApiError dependency_unavailable */
  coversAudio: IsDeleted;
  /** To be called when this isolate has deleted something: asks anew. */
  forget(owner: DeletionOwner): void;
}

/** The ids of those that were deleted. @throws ApiError dependency_unavailable */
export type FindDeleted = (jobs: readonly JobIdentity[]) => Promise<ReadonlySet<string>>;

export interface EdgeTombstonesOptions {
  /** Unix ms. */
  now?: () => number;
  /** Tenants, and names of what they deleted, some 150 bytes each, of which this isolate keeps track; who was not asked about for longest goes first. */
  mostTenants?: number;
  mostMarks?: number;
  /** Of a tenant with more, its object is asked about each job and recording. */
  mostMarksOfTenant?: number;
}

/** What an isolate knows of a tenant. It only grows, so several requests may read on at once. */
interface Known {
  cursor: MarkCursor | null;
  /** Undefined: more than there is room for. */
  marks: Map<string, number> | undefined;
  readonly begunAt: number;
  /** When its object was asked last, of those times that everything came. */
  at: number;
  /** Deletions of this isolate. */
  own: number;
}

export function createEdgeTombstones(
  client: Pick<DeletionsClient, "recent" | "named">,
  options: EdgeTombstonesOptions = {},
): EdgeTombstones {
  const { now = Date.now, mostTenants = 1_000 } = options;
  const { mostMarks = 100_000, mostMarksOfTenant = 50_000 } = options;
  /** Who was asked about longest ago first. */
  const tenants = new Map<string, Known>();
  const nameOf = ({ residency, tenantId }: DeletionOwner) => `${residency}/${tenantId}`;

  function use(owner: DeletionOwner, known: Known): Known {
    tenants.delete(nameOf(owner));
    tenants.set(nameOf(owner), known);
    return known;
  }

  const begin = (owner: DeletionOwner): Known =>
    use(owner, {
      cursor: null,
      marks: new Map(),
      begunAt: now(),
      at: Number.NEGATIVE_INFINITY,
      own: 0,
    });

  function makeRoom(): void {
    let held = 0;
    for (const { marks } of tenants.values()) held += marks?.size ?? 0;
    for (const [name, { marks }] of tenants) {
      if (tenants.size <= 1 || (held <= mostMarks && tenants.size <= mostTenants)) return;
      tenants.delete(name);
      held -= marks?.size ?? 0;
    }
  }

  function add(known: Known, { log, seq, marks }: MarkPage): void {
    known.cursor = { log, seq: Math.max(seq, known.cursor?.seq ?? 0) };
    if (!known.marks) return;
    for (const [name, at] of marks) {
      known.marks.set(name, Math.max(at, known.marks.get(name) ?? at));
    }
    if (known.marks.size > mostMarksOfTenant) known.marks = undefined;
  }

  /** What is known of a tenant, at most five seconds old. */
  async function read(owner: DeletionOwner): Promise<Known> {
    const before = tenants.get(nameOf(owner));
    const isOld = !before || now() - before.begunAt >= READ_ANEW_MS;
    let known = isOld ? begin(owner) : use(owner, before);
    if (isOld) makeRoom();
    while (known.marks && now() - known.at >= FRESH_MS) {
      const [at, own, from] = [now(), known.own, known.cursor?.seq ?? 0];
      const page = await client.recent(owner, known.cursor);
      const isAnother = known.cursor !== null && page.log !== known.cursor.log;
      // Its object has lost what it had, and this is its beginning.
      if (isAnother || page.from !== from) known = begin(owner);
      add(known, page);
      if (page.marks.length > 0) makeRoom();
      // A deletion of this isolate may have come in between.
      if (!page.more && known.own === own) known.at = Math.max(known.at, at);
      if (!page.more) break;
    }
    return known;
  }

  /** The marks that bear one of these names, and perhaps others. */
  async function marked(
    owner: DeletionOwner,
    { marks }: Known,
    names: () => Iterable<string>,
  ): Promise<ReadonlyMap<string, number>> {
    return marks ?? new Map(await client.named(owner, [...new Set(names())]));
  }

  return {
    async ofJobs(owner) {
      const known = await read(owner);
      return async (jobs) => {
        if (jobs.length === 0) return new Set();
        const marks = await marked(owner, known, () => jobs.flatMap(marksOfJob));
        return new Set(jobs.filter((job) => coversMarked(marks, job)).map(({ id }) => id));
      };
    },
    async coversAudio(owner, sha256, linkEndsAtMs) {
      const names = [audioMark(sha256), EVERYTHING];
      const marks = await marked(owner, await read(owner), () => names);
      const linkMadeAtMs = linkEndsAtMs - LONGEST_LINK_MS;
      return names.some((name) => linkMadeAtMs <= (marks.get(name) ?? Number.NEGATIVE_INFINITY));
    },
    forget(owner) {
      const known = tenants.get(nameOf(owner));
      if (!known) return;
      known.own++;
      known.at = Number.NEGATIVE_INFINITY;
    },
  };
}

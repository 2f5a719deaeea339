import type { CompletionOffer, CompletionVerdict } from "../../shared/contracts/completion.ts";
import { readId } from "../../shared/contracts/ids.ts";
import type { SettledJob } from "../../shared/contracts/internal-api.ts";
import { isPermitted, regions } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { LEDGER_BUCKETS, ledgerShardName } from "../../shared/policies/ledger-shard.ts";
import type { DeletionOwner, Forget, Forgotten } from "./forgotten.ts";
import type { JobDraft, LedgerJob } from "./ledger-job.ts";
import type { Ledger } from "./ledger.ts";
import type { ListLedgerJobs } from "./list-jobs.ts";
import { createCallObject, jurisdictionOf, type Placement } from "./placement.ts";

export interface LedgerClient {
  /** @throws ApiError job_not_found for a job that was deleted */
  reserve(draft: JobDraft, regionId: string): Promise<LedgerJob>;
  /** A tenant's jobs of all shards, the newest first; of each shard `limit` at most. */
  list(owner: DeletionOwner, query: ListLedgerJobs): Promise<LedgerJob[]>;
  /** Deletes a tenant's jobs, in the shard that the order names or in all; settles to what is known of them. */
  forget(owner: DeletionOwner, order: Forget): Promise<Forgotten>;
  /** Marks a job accepted, and final in the same step where its region knew the end of it at once. */
  accept(job: JobKey, dispatch: number, completion?: CompletionOffer): Promise<LedgerJob | null>;
  refuse(job: JobKey, dispatch: number): Promise<boolean>;
  newDispatch(job: JobKey, regionId: string): Promise<LedgerJob | null>;
  /** Null for a job that does not exist, is another tenant's, or is described by the database alone. */
  status(job: JobKey): Promise<LedgerJob | null>;
  /** Whether there is such a job of the tenant's, which the ledger may no longer describe. */
  knows(job: JobKey): Promise<boolean>;
  /** Jobs whose rows are in the database; resolves to how many are no longer described here for it. A shard that is away is left out. */
  settle(jobs: readonly SettledJob[]): Promise<number>;
  wait(job: JobKey, ms: number): Promise<LedgerJob | null>;
  /** Ends a job as canceled without its region; one that has ended stays as it was. */
  cancel(job: JobKey): Promise<LedgerJob | null>;
  /**
   * Verdicts in the order of the offers, which may belong to many shards; undefined where the shard does not answer.
   * @throws ApiError dependency_unavailable when none of several does
   */
  complete(
    offers: readonly CompletionOffer[],
  ): Promise<(CompletionVerdict["verdict"] | undefined)[]>;
}

interface JobKey {
  id: string;
  tenant_id: string;
}

/**
 * Finds the shard of a job: by tenant, birth region and bucket, so another tenant's job is simply not
 * there. A shard lies in its birth region's jurisdiction, which the job id alone tells, and which
 * residency permits by the very choice of that region.
 */
export function createLedgerClient(
  namespace: DurableObjectNamespace<Ledger>,
  placement: Placement,
): LedgerClient {
  const callObject = createCallObject(namespace, placement);

  function shardOf({ id, tenant_id }: JobKey): {
    name: string;
    home: ReturnType<typeof jurisdictionOf>;
  } {
    const name = ledgerShardName(tenant_id, id);
    const birth = readId(id);
    if (name === undefined || !birth) throw new ApiError("job_not_found");
    return { name, home: jurisdictionOf(birth.region.id) };
  }

  function call<R>(job: JobKey, run: (shard: DurableObjectStub<Ledger>) => Promise<R>): Promise<R> {
    const { name, home } = shardOf(job);
    return callObject(name, home, run);
  }

  /** Every shard that a tenant may have: those of the regions where its jobs are born. */
  function shardsOf({ tenantId, residency }: DeletionOwner) {
    return regions
      .filter((region) => isPermitted(residency, region))
      .flatMap(({ id, jurisdiction }) =>
        Array.from({ length: LEDGER_BUCKETS }, (_, bucket) => ({
          name: `${tenantId}/${id}/${bucket}`,
          home: jurisdiction,
        })),
      );
  }

  async function forget(owner: DeletionOwner, order: Forget): Promise<Forgotten> {
    const { scope } = order;
    const shards =
      "job_id" in scope
        ? [shardOf({ id: scope.job_id, tenant_id: owner.tenantId })]
        : shardsOf(owner);
    const answers = await Promise.all(
      shards.map(({ name, home }) =>
        callObject(name, home, (shard) => shard.forget(order) as Promise<Forgotten>),
      ),
    );
    return {
      jobs: answers.flatMap(({ jobs }) => jobs),
      removed: answers.reduce((sum, { removed }) => sum + removed, 0),
    };
  }

  async function complete(
    offers: readonly CompletionOffer[],
  ): Promise<(CompletionVerdict["verdict"] | undefined)[]> {
    const verdicts = offers.map((): CompletionVerdict["verdict"] | undefined => "unknown");
    const shards = new Map<string, number[]>();
    for (const [i, offer] of offers.entries()) {
      const name = ledgerShardName(offer.tenant_id, offer.job_id);
      if (name === undefined) continue;
      shards.set(name, [...(shards.get(name) ?? []), i]);
    }
    const asked = await Promise.allSettled(
      Array.from(shards.values(), async (indexes) => {
        const own = indexes.map((i) => offers[i]!);
        for (const i of indexes) verdicts[i] = undefined;
        const key = { id: own[0]!.job_id, tenant_id: own[0]!.tenant_id };
        const answers = await call(key, (shard) => shard.complete(own));
        for (const [n, i] of indexes.entries()) verdicts[i] = answers[n]!;
      }),
    );
    const failed = asked.find((one) => one.status === "rejected");
    // One shard that is away must not hold up what ended in all others.
    const none = shards.size > 1 && asked.every(({ status }) => status === "rejected");
    if (failed && none) throw failed.reason;
    return verdicts;
  }

  async function settle(jobs: readonly SettledJob[]): Promise<number> {
    const shards = Map.groupBy(jobs, ({ tenant_id, job_id }) => ledgerShardName(tenant_id, job_id));
    shards.delete(undefined);
    const told = await Promise.allSettled(
      Array.from(shards.values(), (own) =>
        call({ id: own[0]!.job_id, tenant_id: own[0]!.tenant_id }, (shard) => shard.settle(own)),
      ),
    );
    return told.reduce((sum, each) => sum + (each.status === "fulfilled" ? each.value : 0), 0);
  }

  return {
    settle,
    knows: (job) => call(job, (shard) => shard.knows(job.id)),
    async reserve(draft, regionId) {
      const job = await call(draft, (shard) => shard.reserve(draft, regionId));
      if (!job) throw new ApiError("job_not_found", "The job was deleted.");
      return job;
    },
    forget,
    async list(owner, query) {
      const lists = await Promise.all(
        shardsOf(owner).map(({ name, home }) =>
          callObject(name, home, (shard) => shard.list(query) as Promise<LedgerJob[]>),
        ),
      );
      return lists.flat();
    },
    accept: (job, dispatch, completion) =>
      call(job, (shard) => shard.accept(job.id, dispatch, completion)),
    refuse: (job, dispatch) => call(job, (shard) => shard.refuse(job.id, dispatch)),
    newDispatch: (job, regionId) => call(job, (shard) => shard.newDispatch(job.id, regionId)),
    status: (job) => call(job, (shard) => shard.status(job.id)),
    cancel: (job) => call(job, (shard) => shard.cancel(job.id)),
    wait: (job, ms) => call(job, (shard) => shard.wait(job.id, ms)),
    complete,
  };
}

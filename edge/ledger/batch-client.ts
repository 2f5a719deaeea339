import { batchJobId, readId } from "../../shared/contracts/ids.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { LEDGER_BUCKETS, ledgerShardName } from "../../shared/policies/ledger-shard.ts";
import type { BatchCounts, BatchHeader, BatchItemState, JobSlot } from "./batch-store.ts";
import type { JobDraft } from "./ledger-job.ts";
import type { Ledger } from "./ledger.ts";
import { createCallObject, jurisdictionOf, type Placement } from "./placement.ts";

/** Whose batch; the id tells where it was born, and so its shards. */
export interface BatchKey {
  id: string;
  tenant_id: string;
}

/** The steps of ledger-client.ts for many jobs of one batch: one call for each shard, whatever their number. */
export interface BatchLedger {
  open(tenantId: string, header: BatchHeader): Promise<void>;
  drop(batch: BatchKey): Promise<void>;
  /** Null for a batch that does not exist, or is another tenant's. */
  find(batch: BatchKey): Promise<BatchHeader | null>;
  reserve(drafts: readonly JobDraft[], regionId: string): Promise<JobSlot[]>;
  /** Each under its own dispatch; the slots as they are now. */
  accept(tenantId: string, slots: readonly JobSlot[]): Promise<JobSlot[]>;
  newDispatch(tenantId: string, slots: readonly JobSlot[], regionId: string): Promise<JobSlot[]>;
  refuse(tenantId: string, slots: readonly JobSlot[]): Promise<void>;
  counts(batch: BatchKey): Promise<BatchCounts>;
  /** In order; items that are not known any more are left out. */
  items(batch: BatchKey, from: number, to: number): Promise<BatchItemState[]>;
}

export function createBatchLedger(
  namespace: DurableObjectNamespace<Ledger>,
  placement: Placement,
): BatchLedger {
  const callObject = createCallObject(namespace, placement);

  function call<R>(
    key: BatchKey,
    run: (shard: DurableObjectStub<Ledger>) => Promise<R>,
  ): Promise<R> {
    const name = ledgerShardName(key.tenant_id, key.id);
    const birth = readId(key.id);
    if (name === undefined || !birth) throw new ApiError("job_not_found");
    return callObject(name, jurisdictionOf(birth.region.id), run);
  }

  /** Calls each shard with what is its own. */
  async function each<T extends { id: string }, R>(
    tenantId: string,
    things: readonly T[],
    run: (shard: DurableObjectStub<Ledger>, own: T[]) => Promise<R>,
  ): Promise<R[]> {
    const shards = Map.groupBy(things, ({ id }) => ledgerShardName(tenantId, id));
    return Promise.all(
      Array.from(shards.values(), (own) =>
        call({ id: own[0]!.id, tenant_id: tenantId }, (shard) => run(shard, own)),
      ),
    );
  }

  /** Calls every shard that may hold an item. */
  function all<R>(
    { id, tenant_id }: BatchKey,
    run: (shard: DurableObjectStub<Ledger>) => Promise<R>,
  ): Promise<R[]> {
    const birth = readId(id)!.region;
    return Promise.all(
      Array.from({ length: LEDGER_BUCKETS }, (_, bucket) =>
        callObject(`${tenant_id}/${birth.id}/${bucket}`, jurisdictionOf(birth.id), run),
      ),
    );
  }

  return {
    open: (tenantId, header) =>
      call({ id: header.id, tenant_id: tenantId }, (shard) => shard.openBatch(header)),
    drop: (batch) => call(batch, (shard) => shard.dropBatch(batch.id)),
    find: (batch) => call(batch, (shard) => shard.findBatch(batch.id)),
    async reserve(drafts, regionId) {
      const tenantId = drafts[0]!.tenant_id;
      const found = await each(
        tenantId,
        drafts,
        (shard, own) => shard.reserveMany(own, regionId) as Promise<JobSlot[]>,
      );
      return found.flat();
    },
    accept: async (tenantId, slots) =>
      (
        await each(tenantId, slots, (shard, own) => shard.acceptMany(own) as Promise<JobSlot[]>)
      ).flat(),
    async newDispatch(tenantId, slots, regionId) {
      const found = await each(
        tenantId,
        slots,
        (shard, own) =>
          shard.newDispatches(
            own.map(({ id }) => id),
            regionId,
          ) as Promise<JobSlot[]>,
      );
      return found.flat();
    },
    refuse: async (tenantId, slots) =>
      void (await each(tenantId, slots, (shard, own) => shard.refuseMany(own))),
    async counts(batch) {
      const found = await all(batch, (shard) => shard.countBatch(batch.id) as Promise<BatchCounts>);
      const sum = (name: "open" | "succeeded" | "failed" | "canceled") =>
        found.reduce((total, counts) => total + counts[name], 0);
      const ends = found.flatMap(({ last_finished_at: at }) => (at === null ? [] : [at]));
      return {
        open: sum("open"),
        succeeded: sum("succeeded"),
        failed: sum("failed"),
        canceled: sum("canceled"),
        last_finished_at: ends.toSorted().at(-1) ?? null,
      };
    },
    async items(batch, from, to) {
      // Which shards a page lies in follows from the ids of its jobs.
      const page = Array.from({ length: to - from }, (_, n) => ({
        id: batchJobId(batch.id, from + n),
      }));
      const found = await each(
        batch.tenant_id,
        page,
        (shard) => shard.listBatch(batch.id, from, to) as Promise<BatchItemState[]>,
      );
      return found.flat().toSorted((a, b) => a.item - b.item);
    },
  };
}

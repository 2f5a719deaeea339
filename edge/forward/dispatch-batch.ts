import { MAX_BATCH_SUBMIT, SubmitBatchAnswer } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Trace } from "../context.ts";
import type { BatchLedger } from "../ledger/batch-client.ts";
import type { BatchHeader, JobSlot } from "../ledger/batch-store.ts";
import type { JobDraft } from "../ledger/ledger-job.ts";
import type { CallRegion, RegionFailure } from "./call-region.ts";

export interface BatchToDispatch {
  header: BatchHeader;
  drafts: readonly JobDraft[];
  candidates: readonly Region[];
  trace: Trace;
  /** Brings to a region what the jobs need there, before them; a region where that fails is passed over. */
  bring(region: Region): Promise<void>;
}

export type DispatchBatch = (batch: BatchToDispatch) => Promise<void>;

/** Of one call's body; a region reads a megabyte. */
const CHUNK_BYTES = 900_000;
const CHUNK_TIMEOUT_MS = 10_000;
/** Of the few connections that a Worker may have open at once. */
const PARALLEL = 4;

/**
 * Reserves the jobs of a batch, hands them to the first candidate that takes them, some hundred to a call, and marks them accepted; what
 * one region does not take the next is given, under new dispatches. Resolves once all are accepted. Repeating it goes on where it stopped.
 *
 * @throws ApiError the region's refusal | system_busy | region_unavailable (nothing was accepted) |
 *   dependency_unavailable (some were, or may have been: the ledger goes on trying, and so may the caller)
 */
export function createDispatchBatch(ledger: BatchLedger, callRegion: CallRegion): DispatchBatch {
  async function submit(
    region: Region,
    jobs: readonly object[],
    trace: Trace,
  ): Promise<RegionFailure | undefined> {
    const outcome = await callRegion(region, {
      method: "POST",
      target: "/internal/jobs/batch",
      body: { jobs },
      answer: SubmitBatchAnswer,
      timeoutMs: CHUNK_TIMEOUT_MS,
      trace,
    });
    return outcome.kind === "done" ? undefined : outcome;
  }

  return async ({ header, drafts, candidates, trace, bring }) => {
    const tenantId = drafts[0]!.tenant_id;
    const byId = new Map(drafts.map((draft) => [draft.id, draft]));
    await ledger.open(tenantId, header);
    const slots = new Map<string, JobSlot>();
    const note = (found: readonly JobSlot[]) => found.forEach((slot) => slots.set(slot.id, slot));
    /** In the order of the items, in which a region begins them. */
    const open = () =>
      drafts.flatMap(({ id }) => {
        const slot = slots.get(id);
        return slot?.state === "reserved" ? [slot] : [];
      });
    note(await ledger.reserve(drafts, candidates[0]!.id));
    // A resumed request goes on where the first one stopped.
    const assigned = open()[0]?.region;
    const order = candidates.toSorted(
      (a, b) => Number(b.id === assigned) - Number(a.id === assigned),
    );
    let last: RegionFailure | undefined;

    async function giveTo(region: Region): Promise<void> {
      const taken: JobSlot[] = [];
      const chunks = chunksOf(open(), byId).values();
      let failed = false;
      const runner = async () => {
        for (const chunk of chunks) {
          if (failed) return;
          const jobs = chunk.map(({ id, dispatch }) => ({ ...byId.get(id)!, dispatch }));
          const failure = await submit(region, jobs, trace);
          if (failure) {
            failed = true;
            last = failure;
          } else taken.push(...chunk);
        }
      };
      await Promise.all(Array.from({ length: PARALLEL }, runner));
      if (taken.length > 0) note(await ledger.accept(tenantId, taken));
    }

    for (const region of order) {
      const elsewhere = open().filter((slot) => slot.region !== region.id);
      if (elsewhere.length > 0) note(await ledger.newDispatch(tenantId, elsewhere, region.id));
      if (open().length === 0) return;
      try {
        await bring(region);
      } catch (cause) {
        const error = new ApiError("region_unavailable", undefined, { cause });
        last = { kind: "unavailable", error };
        continue;
      }
      await giveTo(region);
      if (open().length === 0) return;
    }

    const left = open();
    if (last?.kind === "unclear" || left.length < slots.size) {
      throw new ApiError(
        "dependency_unavailable",
        `Of ${slots.size} items ${slots.size - left.length} were taken, the others may yet be; see batch ${header.id}, or repeat the request with its Idempotency-Key.`,
        { cause: last?.error },
      );
    }
    await ledger.refuse(tenantId, left);
    await ledger.drop({ id: header.id, tenant_id: tenantId });
    if (last?.kind === "refused" || last?.error.status === 429) throw last.error;
    throw new ApiError("region_unavailable", undefined, { cause: last?.error });
  };
}

/** Parts that fit into one call each. */
function chunksOf(slots: readonly JobSlot[], drafts: ReadonlyMap<string, JobDraft>): JobSlot[][] {
  const chunks: JobSlot[][] = [];
  const encoder = new TextEncoder();
  let bytes = CHUNK_BYTES;
  for (const slot of slots) {
    const size = encoder.encode(JSON.stringify(drafts.get(slot.id))).byteLength + 32;
    if (bytes + size > CHUNK_BYTES || chunks.at(-1)!.length >= MAX_BATCH_SUBMIT) {
      chunks.push([]);
      bytes = 0;
    }
    chunks.at(-1)!.push(slot);
    bytes += size;
  }
  return chunks;
}

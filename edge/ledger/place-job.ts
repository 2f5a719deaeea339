import type { CompletionOffer } from "../../shared/contracts/completion.ts";
import { readId } from "../../shared/contracts/ids.ts";
import { RegionJobState } from "../../shared/contracts/internal-api.ts";
import { findRegion, type Region } from "../../shared/contracts/regions.ts";
import type { ApiError } from "../../shared/errors/problem.ts";
import { isEjected, isLost, type VantageView } from "../../shared/policies/region-verdict.ts";
import { rankRegions, UNKNOWN_REGION } from "../../shared/policies/route.ts";
import type { CallRegion } from "../forward/call-region.ts";
import { mayLieElsewhere } from "../forward/may-lie-elsewhere.ts";
import { submitJob } from "../forward/submit-job.ts";
import { objectMetrics } from "../ops/metrics.ts";
import type { LedgerJob } from "./ledger-job.ts";
import type { LedgerStore } from "./ledger-store.ts";

const STATE_TIMEOUT_MS = 2_000;

export interface PlaceJobParts {
  regions: readonly Region[];
  callRegion: CallRegion;
  /** Trusted ones. */
  views: readonly VantageView[];
  store: Pick<LedgerStore, "refuse" | "reassign" | "waits">;
  /** Marks a job as its region's; `completion`: how it ended, where the region said so at once. */
  accept(jobId: string, dispatch: number, completion?: CompletionOffer): Promise<LedgerJob | null>;
}

/** What became of a job: its region has it; it was removed; it waits, or is not resolved yet. */
export type Placed = "placed" | "refused" | "waiting";

/**
 * Brings an open job to a region that can run it.
 *
 * It stays where it is while that region is not known to be gone: an accepted job until the region is declared lost, a reservation until
 * it is ejected. There it is submitted again under the same dispatch, which changes nothing if the region has it. Else it goes to the
 * next permitted region, each under a new dispatch, which revokes the one before. An accepted job that no region takes waits; whatever
 * the regions say, it does not fail for it.
 */
export function createPlaceJob({ regions, callRegion, views, store, accept }: PlaceJobParts) {
  const isGone = (job: LedgerJob, id: string): boolean =>
    job.state === "accepted" ? isLost(views, id) : isEjected(views, id) === true;

  /** Whether the region has this very dispatch. Asked for accepted jobs: their upload may have gone while they run. */
  async function isThere(region: Region, job: LedgerJob): Promise<boolean | undefined> {
    const query = new URLSearchParams({ tenant_id: job.draft.tenant_id });
    const outcome = await callRegion(region, {
      method: "GET",
      target: `/internal/jobs/${job.draft.id}?${query.toString()}`,
      answer: RegionJobState,
      timeoutMs: STATE_TIMEOUT_MS,
    });
    if (outcome.kind === "done") return outcome.value.epoch.dispatch === job.dispatch;
    return outcome.kind === "refused" ? false : undefined;
  }

  async function submit(region: Region, job: LedgerJob): Promise<"done" | "unknown" | ApiError> {
    const outcome = await submitJob(callRegion, region, job);
    if (outcome.kind === "done") {
      await accept(job.draft.id, job.dispatch, outcome.value.completion);
      return "done";
    }
    return outcome.kind === "refused" ? outcome.error : "unknown";
  }

  /** The other permitted regions that answer, that of the upload first. */
  function others(job: LedgerJob): Region[] {
    const home = readId(job.draft.upload_id)?.region.id;
    const birth = readId(job.draft.id)?.region;
    return rankRegions({
      regions,
      residency: job.draft.residency,
      view: (id) => ({ ...UNKNOWN_REGION, healthy: isEjected(views, id) !== true }),
      preferred: home,
      draw: 0,
      ...(birth ? { client: birth } : {}),
    }).filter(({ id }) => id !== job.region);
  }

  function gaveUp(job: LedgerJob, refusal: ApiError | undefined, allAsked: boolean): Placed {
    const { id } = job.draft;
    if (job.state === "accepted") {
      store.waits(id, refusal ? "audio" : "region");
      return "waiting";
    }
    // Of a reservation nobody was promised anything; but its upload may lie in a region that is away.
    return refusal && allAsked && store.refuse(id, job.dispatch) ? "refused" : "waiting";
  }

  return async function place(job: LedgerJob): Promise<Placed> {
    let refusal: ApiError | undefined;
    const current = findRegion(job.region);
    const home = readId(job.draft.upload_id)?.region.id;
    const elsewhere = others(job);
    // Of an upload that no region has, its own region must have said so.
    let allAsked = home === job.region || elsewhere.some(({ id }) => id === home);
    if (current && !isGone(job, current.id)) {
      if (job.state === "accepted" && job.waiting_for === undefined) {
        const there = await isThere(current, job);
        if (there === undefined) return "waiting";
        if (there) {
          await accept(job.draft.id, job.dispatch);
          return "placed";
        }
      }
      const answer = await submit(current, job);
      if (answer === "done") return "placed";
      if (answer === "unknown") return "waiting";
      refusal = answer;
      if (job.state === "reserved" && !mayLieElsewhere(answer, job.draft, current)) {
        return gaveUp(job, refusal, true);
      }
    } else allAsked = false;

    let latest = job;
    for (const region of elsewhere) {
      const moved = store.reassign(latest.draft.id, latest.dispatch, region.id);
      // It has ended, or was moved by somebody else.
      if (!moved) return "placed";
      objectMetrics.count("antiphon_edge_ledger_redispatches_total", { from: latest.region });
      latest = moved;
      const answer = await submit(region, latest);
      if (answer === "done") return "placed";
      if (answer === "unknown") allAsked = false;
      else refusal ??= answer;
    }
    return gaveUp(latest, refusal, allAsked);
  };
}

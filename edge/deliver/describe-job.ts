import type { Job } from "../../shared/contracts/api.ts";
import type { CompletionOffer } from "../../shared/contracts/completion.ts";
import { ReadResultAnswer, RegionJobState } from "../../shared/contracts/internal-api.ts";
import { leavesNoResult } from "../../shared/contracts/job.ts";
import { isPermitted, type Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { signAudioUrl } from "../../shared/signing/audio-url.ts";
import type { Trace } from "../context.ts";
import type { EdgeConfig } from "../env.ts";
import type { CallRegion } from "../forward/call-region.ts";
import type { KnownJob } from "../ledger/ledger-job.ts";
import type { RegionHealth } from "../route/region-health.ts";

/** An audio URL holds for an hour at least. It is the same for half an hour, so that a job's answer is, and can be kept. */
const AUDIO_URL_LIFE_MS = 3_600_000;
const AUDIO_URL_STEP_MS = 1_800_000;
const SHORTEST_RETENTION_MS = 24 * 3_600_000;
const STATE_TIMEOUT_MS = 1_500;
const RESULT_TIMEOUT_MS = 5_000;

export interface DescribeJob {
  /** What the ledger alone tells of a job that was just accepted: that it waits, or, without the result, how it ended. */
  accepted(job: KnownJob, queuePosition?: number): Job;
  /** The whole job: with the region's progress, or the result. `base` begins the audio's URL. @throws ApiError */
  whole(job: KnownJob, base: string, trace: Trace, view?: JobView): Promise<Job>;
  /** Tag of a final job's answer, which changes only with its audio URL; undefined while the job is not final. */
  tagOf(job: KnownJob): string | undefined;
}

export interface JobView {
  /** The network that the audio's URL is bound to (see ip-prefix.ts). */
  network?: string | undefined;
}

/** Turns the ledger's record of a job into what clients see. */
export function createDescribeJob(
  config: EdgeConfig,
  callRegion: CallRegion,
  health: Pick<RegionHealth, "isHealthy">,
): DescribeJob {
  function pending({ draft, region, dispatch }: KnownJob, queuePosition?: number): Job {
    return {
      id: draft.id,
      kind: draft.kind,
      status: "queued",
      priority: draft.priority,
      region,
      dispatch,
      attempt: 0,
      ...(draft.user_id === undefined ? {} : { user_id: draft.user_id }),
      ...(draft.metadata === undefined ? {} : { metadata: draft.metadata }),
      created_at: draft.created_at,
      ...(queuePosition === undefined ? {} : { queue_position: queuePosition }),
    };
  }

  /** A final job without what its region or a signature would add. */
  function ended(job: KnownJob, offer: CompletionOffer): Job {
    return {
      ...pending(job),
      status: offer.status,
      dispatch: offer.epoch.dispatch,
      attempt: offer.epoch.attempt,
      started_at: offer.started_at,
      finished_at: offer.finished_at,
      cost: offer.cost,
      ...(offer.error ? { error: offer.error } : {}),
    };
  }

  async function running(job: KnownJob, trace: Trace): Promise<Job> {
    const described = pending(job);
    if (job.waiting_for) return { ...described, waiting_for: job.waiting_for };
    // The ledger's word alone, rather than one that comes only after a timeout.
    if (!health.isHealthy(job.region)) return unheard(described, job);
    const region = config.regions.find(({ id }) => id === job.region);
    const query = new URLSearchParams({ tenant_id: job.draft.tenant_id });
    const outcome =
      region &&
      (await callRegion(region, {
        method: "GET",
        target: `/internal/jobs/${job.draft.id}?${query.toString()}`,
        answer: RegionJobState,
        timeoutMs: STATE_TIMEOUT_MS,
        trace,
      }));
    if (outcome?.kind === "refused") return described;
    if (outcome?.kind !== "done") return unheard(described, job);
    const { status, epoch, started_at, queue_position, expected_at, progress } = outcome.value;
    // The region may know of an older dispatch still; what it says of that one is no longer true.
    if (epoch.dispatch !== job.dispatch) return described;
    return {
      ...described,
      // Ended in the region, but not yet accepted by the ledger: not ended for anyone else.
      status: status === "queued" ? "queued" : "running",
      attempt: epoch.attempt,
      ...(started_at === undefined ? {} : { started_at }),
      ...(queue_position === undefined ? {} : { queue_position }),
      ...(expected_at === undefined ? {} : { expected_at: notBefore(expected_at, job) }),
      ...(progress === undefined ? {} : { progress }),
    };
  }

  /** The result from the region that made it, or from a permitted peer to whose bucket it was replicated; the healthy ones first. */
  async function readResult(
    job: KnownJob,
    resultKey: string,
    trace: Trace,
  ): Promise<Pick<Job, "result" | "result_source" | "result_removed">> {
    const body = { job_id: job.draft.id, tenant_id: job.draft.tenant_id, result_key: resultKey };
    let last: unknown;
    // A retention is a day at least: what is missing before that is lost, or late.
    let isRemoved = Date.parse(job.offer?.finished_at ?? "") < Date.now() - SHORTEST_RETENTION_MS;
    const regions = homeFirst(config.regions, job).toSorted(
      (a, b) => Number(health.isHealthy(b.id)) - Number(health.isHealthy(a.id)),
    );
    for (const region of regions) {
      const outcome = await callRegion(region, {
        method: "POST",
        target: "/internal/results/read",
        body,
        answer: ReadResultAnswer,
        timeoutMs: RESULT_TIMEOUT_MS,
        trace,
      });
      if (outcome.kind === "done") {
        const { result, from } = outcome.value;
        return { result, result_source: { region: region.id, store: from } };
      }
      last = outcome.error;
      if (outcome.error.code !== "not_found") isRemoved = false;
    }
    // Every region where it may lie has looked.
    if (isRemoved) return { result_removed: true };
    throw new ApiError("dependency_unavailable", "The result cannot be read now.", { cause: last });
  }

  async function whole(
    job: KnownJob,
    base: string,
    trace: Trace,
    { network }: JobView = {},
  ): Promise<Job> {
    const { offer, draft } = job;
    if (!offer) return running(job, trace);
    const audio = offer.audio && {
      region: offer.region,
      sha256: offer.audio.sha256,
      extension: offer.audio.extension,
      residency: draft.residency,
      tenantId: draft.tenant_id,
      ...(network === undefined ? {} : { network }),
    };
    const [found, audioPath] = await Promise.all([
      offer.result_key === undefined ? notKept(job) : readResult(job, offer.result_key, trace),
      audio && signAudioUrl(config.audioUrlKeys, audio, audioUrlEnd()),
    ]);
    return {
      ...ended(job, offer),
      ...found,
      ...(audioPath ? { audio_url: base + audioPath } : {}),
    };
  }

  return {
    accepted: (job, queuePosition) =>
      job.offer === null ? pending(job, queuePosition) : ended(job, job.offer),
    whole,
    tagOf: ({ offer }) =>
      offer === null
        ? undefined
        : `W/"${offer.epoch.dispatch}-${offer.epoch.attempt}-${audioUrlEnd() / AUDIO_URL_STEP_MS}-${config.audioUrlKeys.current}"`,
  };
}

/** A result that went out by webhook alone. */
const notKept = ({ offer, draft }: KnownJob): Pick<Job, "result_removed"> =>
  offer?.status === "succeeded" && leavesNoResult(draft) ? { result_removed: true } : {};

const audioUrlEnd = () =>
  Math.ceil((Date.now() + AUDIO_URL_LIFE_MS) / AUDIO_URL_STEP_MS) * AUDIO_URL_STEP_MS;

/** A job of which its region cannot be asked. */
const unheard = (described: Job, { state }: KnownJob): Job =>
  state === "accepted" ? { ...described, waiting_for: "region" } : described;

/** The later of the two: a delayed job's region tells when it could begin if it were due. */
function notBefore(expectedAt: string, { draft: { not_before } }: KnownJob): string {
  return not_before !== undefined && Date.parse(not_before) > Date.parse(expectedAt)
    ? not_before
    : expectedAt;
}

function homeFirst(regions: readonly Region[], job: KnownJob): Region[] {
  return regions
    .filter((region) => isPermitted(job.draft.residency, region))
    .toSorted((a, b) => Number(b.id === job.region) - Number(a.id === job.region));
}

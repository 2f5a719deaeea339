import { z } from "zod";
import {
  CompletedUpload,
  UploadInParts,
  type CreateUpload,
  type Durability,
  Job,
  JobList,
  RegionList,
  Upload,
  type CreateKey,
  CreatedKey,
  RevokedKey,
  RotatedKey,
  type RotateKeyRequest,
} from "../contracts/api.ts";
import {
  Batch,
  BatchAccepted,
  type CreateSpeechBatch,
  type GetBatch,
} from "../contracts/batches.ts";
import {
  DeadLetter,
  DeadLetterList,
  DiscardedDeadLetters,
  type ListDeadLetters,
  type PickDeadLetters,
  ReplayedDeadLetters,
} from "../contracts/dead-letters.ts";
import { DeletionReceipt, type DeletionScope } from "../contracts/deletions.ts";
import type { CreateTenant } from "../contracts/internal-api.ts";
import { KeyList, Tenant } from "../contracts/internal-api.ts";
import type { CreateAnalysis } from "../contracts/job.ts";
import { ModelInfo, ModelList } from "../contracts/models.ts";
import { PrimaryStatus } from "../contracts/primary.ts";
import { type CreateSpeech, VoiceList } from "../contracts/speech.ts";
import { type CreateSpeechJob, SpeechJobAccepted } from "../contracts/speech-jobs.ts";
import { type ChangeTenant, TenantSettings } from "../contracts/tenant-settings.ts";
import { type GetUsage, UsageReport } from "../contracts/usage.ts";
import { type GetUserHistory, UserHistory } from "../contracts/user-history.ts";
import {
  CreatedWebhookEndpoint,
  type CreateWebhookEndpoint,
  DeletedWebhookEndpoint,
  type ListWebhookDeliveries,
  RotatedWebhookSecret,
  type RotateWebhookSecret,
  type UpdateWebhookEndpoint,
  WebhookDelivery,
  WebhookDeliveryList,
  WebhookEndpoint,
  WebhookEndpointList,
} from "../contracts/webhooks.ts";
import { ReceiptKeySet } from "../signing/receipt.ts";
import { ConnectionError } from "./errors.ts";
import { followJob, type FollowJob } from "./follow-job.ts";
import { createHttp, type HttpOptions } from "./http.ts";
import { sleep } from "./sleep.ts";

export interface ClientOptions extends HttpOptions {
  /** Asks for a region by name (`X-Antiphon-Region`); has no effect in production. */
  region?: string | undefined;
}

export interface Wait {
  signal?: AbortSignal | undefined;
  /** Called for every state seen, also when nothing changed. */
  onUpdate?: (job: Job) => void;
}

const PARTS_AT_ONCE = 3;
const PART_ATTEMPTS = 4;
const POLL_MIN_MS = 150;
const POLL_MAX_MS = 2_000;

export const isFinal = (job: Job): boolean => !["queued", "running"].includes(job.status);

/**
 * A typed client of the Antiphon API. Throws AntiphonError for an answer that is not a success and
 * ConnectionError when there was none.
 */
export function createClient(options: ClientOptions) {
  const send = options.fetch ?? fetch;
  const http = createHttp({
    ...options,
    headers: {
      ...options.headers,
      ...(options.region ? { "x-antiphon-region": options.region } : {}),
    },
  });

  /** Asks for a presigned upload of one piece. */
  function createUpload(
    request: z.input<typeof CreateUpload>,
    signal?: AbortSignal,
  ): Promise<Upload> {
    return http.call("/v1/uploads", Upload, { method: "POST", body: request, signal });
  }

  /**
   * Uploads a file, in parts when it is larger than 100 MiB: three at a time, each tried again when it fails. `sha256`: hex; the
   * bucket holds a file of one piece to it.
   */
  async function upload(
    file: {
      blob: Blob;
      contentType: string;
      sha256?: string | undefined;
      durability?: Durability | undefined;
    },
    { signal, onRegion }: { signal?: AbortSignal; onRegion?: (region: string) => void } = {},
  ): Promise<{ upload_id: string; region: string }> {
    const { blob, contentType, sha256, durability } = file;
    const made = await http.call("/v1/uploads", z.union([Upload, UploadInParts]), {
      method: "POST",
      body: {
        content_type: contentType,
        bytes: blob.size,
        ...(sha256 ? { sha256 } : {}),
        ...(durability ? { durability } : {}),
      },
      signal,
    });
    onRegion?.(made.region);
    if ("url" in made) await putUpload(made, blob, signal);
    else await putParts(made, blob, signal);
    return { upload_id: made.upload_id, region: made.region };
  }

  async function putParts(made: UploadInParts, blob: Blob, signal?: AbortSignal): Promise<void> {
    const etags = new Map<number, string>();
    let offset = 0;
    const waiting = made.parts
      .map((part) => {
        const start = offset;
        offset += part.bytes;
        return { part, bytes: blob.slice(start, offset) };
      })
      .values();
    const put = async ({ part, bytes }: { part: UploadInParts["parts"][number]; bytes: Blob }) => {
      for (let attempt = 1; ; attempt++) {
        try {
          const etag = await putBytes({ ...part, headers: {} }, bytes, signal);
          if (!etag) throw new ConnectionError("the object store gave no ETag");
          etags.set(part.part_number, etag);
          return;
        } catch (error) {
          if (!(error instanceof ConnectionError) || attempt >= PART_ATTEMPTS) throw error;
          await sleep(1_000 * attempt, signal);
        }
      }
    };
    const worker = async () => {
      for (const next of waiting) await put(next);
    };
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, worker));
    const parts = Array.from(etags, ([part_number, etag]) => ({ part_number, etag }));
    await http.call(`/v1/uploads/${made.upload_id}/complete`, CompletedUpload, {
      method: "POST",
      body: { multipart_id: made.multipart_id, parts },
      signal,
    });
  }

  /** PUTs the bytes to where `createUpload` said. */
  async function putUpload(target: Upload, body: Blob, signal?: AbortSignal): Promise<void> {
    await putBytes(target, body, signal);
  }

  /** Resolves to the `ETag` of what is there now. */
  async function putBytes(
    target: Pick<Upload, "url" | "method" | "headers">,
    body: Blob,
    signal?: AbortSignal,
  ): Promise<string | null> {
    let response: Response;
    try {
      response = await send(target.url, {
        method: target.method,
        headers: target.headers,
        body,
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ConnectionError("the object store did not answer", { cause: error });
    }
    const text = await response.text();
    if (response.ok) return response.headers.get("etag");
    const reason = /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? "no reason given";
    throw new ConnectionError(`the upload was refused: HTTP ${response.status} (${reason})`);
  }

  function createAnalysis(
    request: z.input<typeof CreateAnalysis>,
    signal?: AbortSignal,
  ): Promise<Job> {
    return http.call("/v1/analyses", Job, { method: "POST", body: request, signal });
  }

  function getJob(id: string, signal?: AbortSignal): Promise<Job> {
    return http.call(`/v1/jobs/${encodeURIComponent(id)}`, Job, { signal });
  }

  function listJobs(
    query: { limit?: number; cursor?: string; user_id?: string } = {},
  ): Promise<JobList> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) search.set(name, String(value));
    return http.call(`/v1/jobs?${search}`, JobList);
  }

  /** Stops a job; canceled then, or about to be. */
  function cancelJob(id: string): Promise<Job> {
    return http.call(`/v1/jobs/${encodeURIComponent(id)}/cancel`, Job, { method: "POST" });
  }

  /** Deletes a job's data, an end user's, or all of it; the receipt so far. */
  function createDeletion(scope: DeletionScope): Promise<DeletionReceipt> {
    return http.call("/v1/deletions", DeletionReceipt, { method: "POST", body: scope });
  }

  /** The signed receipt of a deletion; `verifyReceipt` checks it with `receiptKeys`. */
  function getDeletion(id: string): Promise<DeletionReceipt> {
    return http.call(`/v1/deletions/${encodeURIComponent(id)}`, DeletionReceipt);
  }

  function receiptKeys(): Promise<ReceiptKeySet> {
    return http.call("/.well-known/jwks.json", ReceiptKeySet);
  }

  /** Polls until the job is final, ever more slowly up to every two seconds. */
  async function waitForJob(id: string, { signal, onUpdate }: Wait = {}): Promise<Job> {
    for (let pause = POLL_MIN_MS; ; pause = Math.min(pause * 1.5, POLL_MAX_MS)) {
      const job = await getJob(id, signal);
      onUpdate?.(job);
      if (isFinal(job)) return job;
      await sleep(pause, signal);
    }
  }

  /** Speaks a text; the answer's body is the audio as it is made. */
  function createSpeech(
    request: z.input<typeof CreateSpeech>,
    signal?: AbortSignal,
  ): Promise<Response> {
    return http.open("/v1/audio/speech", { method: "POST", body: request, signal });
  }

  /** Speaks a text as a job; its audio is at the job's `audio_url` once it has succeeded. */
  function createSpeechJob(
    request: z.input<typeof CreateSpeechJob>,
    signal?: AbortSignal,
  ): Promise<SpeechJobAccepted> {
    return http.call("/v1/audio/speech/async", SpeechJobAccepted, {
      method: "POST",
      body: request,
      signal,
    });
  }

  /** Speaks up to 10,000 texts, each as a job. */
  function createSpeechBatch(
    request: z.input<typeof CreateSpeechBatch>,
    signal?: AbortSignal,
  ): Promise<BatchAccepted> {
    return http.call("/v1/audio/speech/batch", BatchAccepted, {
      method: "POST",
      body: request,
      signal,
    });
  }

  /** How a batch stands, and one page of its manifest. */
  function getBatch(id: string, query: z.input<typeof GetBatch> = {}): Promise<Batch> {
    return http.call(`/v1/batches/${encodeURIComponent(id)}${searchOf(query)}`, Batch);
  }

  function listVoices(): Promise<z.infer<typeof VoiceList>> {
    return http.call("/v1/voices", VoiceList);
  }

  /** The models and engines of the nearest region, and which are installed. */
  function listModels(): Promise<ModelList> {
    return http.call("/v1/models", ModelList);
  }

  function getModel(id: string): Promise<ModelInfo> {
    return http.call(`/v1/models/${encodeURIComponent(id)}`, ModelInfo);
  }

  /** What was used by day and stage, and what it cost; the last 30 days unless a range is given. */
  function getUsage(query: z.input<typeof GetUsage> = {}): Promise<UsageReport> {
    return http.call(`/v1/usage${searchOf(query)}`, UsageReport);
  }

  /** One end user's analyses, and how the features (comma-separated) went. */
  function getUserHistory(
    userId: string,
    query: z.input<typeof GetUserHistory> = {},
  ): Promise<UserHistory> {
    const path = `/v1/users/${encodeURIComponent(userId)}/analyses`;
    return http.call(path + searchOf(query), UserHistory);
  }

  /** What each region is doing. */
  function listRegions(): Promise<z.infer<typeof RegionList>> {
    return http.call("/v1/regions", RegionList);
  }

  const endpointPath = (id: string) => `/v1/webhook-endpoints/${encodeURIComponent(id)}`;
  /** Events of jobs, sent to servers of one's own; secrets are in the answers that make them, and nowhere else. */
  const webhooks = {
    create: (endpoint: z.input<typeof CreateWebhookEndpoint>) =>
      http.call("/v1/webhook-endpoints", CreatedWebhookEndpoint, {
        method: "POST",
        body: endpoint,
      }),
    list: () => http.call("/v1/webhook-endpoints", WebhookEndpointList),
    update: (id: string, change: z.input<typeof UpdateWebhookEndpoint>) =>
      http.call(endpointPath(id), WebhookEndpoint, { method: "PATCH", body: change }),
    delete: (id: string) =>
      http.call(endpointPath(id), DeletedWebhookEndpoint, { method: "DELETE" }),
    /** Of an endpoint, or, without one, the secret for the `webhook_url` of jobs. */
    rotate: (id?: string, how: z.input<typeof RotateWebhookSecret> = {}) =>
      http.call(
        id === undefined ? "/v1/webhook-secret/rotate" : `${endpointPath(id)}/rotate`,
        RotatedWebhookSecret,
        { method: "POST", body: how },
      ),
    deliveries: (query: z.input<typeof ListWebhookDeliveries> = {}) =>
      http.call(`/v1/webhook-deliveries${searchOf(query)}`, WebhookDeliveryList),
    redeliver: (id: string) =>
      http.call(`/v1/webhook-deliveries/${encodeURIComponent(id)}/redeliver`, WebhookDelivery, {
        method: "POST",
      }),
  };

  const admin = {
    createTenant: (tenant: z.input<typeof CreateTenant>) =>
      http.call("/v1/admin/tenants", Tenant, { method: "POST", body: tenant }),
    getTenant: (id: string) => http.call(tenantPath(id), TenantSettings),
    /** Sets limits, origins and issuers of tokens; what is left out stays. */
    changeTenant: (id: string, change: z.input<typeof ChangeTenant>) =>
      http.call(tenantPath(id), TenantSettings, { method: "PATCH", body: change }),
    listKeys: (query: { tenant_id: string; limit?: number; cursor?: string }) =>
      http.call(`/v1/admin/keys${searchOf(query)}`, KeyList),
    /** Another key in place of one, which holds for `overlap_s` more. */
    rotateKey: (keyId: string, wanted: z.input<typeof RotateKeyRequest> = {}) =>
      http.call(`/v1/admin/keys/${encodeURIComponent(keyId)}/rotate`, RotatedKey, {
        method: "POST",
        body: wanted,
      }),
    createKey: (key: z.input<typeof CreateKey>) =>
      http.call("/v1/admin/keys", CreatedKey, { method: "POST", body: key }),
    getPrimary: () => http.call("/v1/admin/primary", PrimaryStatus),
    /** Asks for it; `getPrimary` shows how far it is. */
    promoteRegion: (region: string) =>
      http.call("/v1/admin/primary", PrimaryStatus, { method: "POST", body: { region } }),
    revokeKey: (keyId: string) =>
      http.call(`/v1/admin/keys/${encodeURIComponent(keyId)}`, RevokedKey, { method: "DELETE" }),
    listDeadLetters: (query: z.input<typeof ListDeadLetters> = {}) =>
      http.call(`/v1/admin/dead-letters${searchOf(query)}`, DeadLetterList),
    getDeadLetter: (id: string) =>
      http.call(`/v1/admin/dead-letters/${encodeURIComponent(id)}`, DeadLetter),
    replayDeadLetters: (picked: PickDeadLetters) =>
      http.call("/v1/admin/dead-letters/replay", ReplayedDeadLetters, {
        method: "POST",
        body: picked,
      }),
    discardDeadLetters: (picked: PickDeadLetters) =>
      http.call("/v1/admin/dead-letters/discard", DiscardedDeadLetters, {
        method: "POST",
        body: picked,
      }),
  };

  return {
    upload,
    createUpload,
    putUpload,
    createAnalysis,
    getJob,
    listJobs,
    cancelJob,
    createDeletion,
    getDeletion,
    receiptKeys,
    waitForJob,
    followJob: (id: string, options?: FollowJob) => followJob(http, id, options),
    createSpeech,
    createSpeechJob,
    createSpeechBatch,
    getBatch,
    listVoices,
    listModels,
    getModel,
    getUsage,
    getUserHistory,
    listRegions,
    webhooks,
    admin,
  };
}

const tenantPath = (id: string) => `/v1/admin/tenants/${encodeURIComponent(id)}`;

function searchOf(query: Record<string, unknown>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}`;
}

export type Client = ReturnType<typeof createClient>;

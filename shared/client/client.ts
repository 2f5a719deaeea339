import type { z } from "zod";
import {
  type CreateUpload,
  Job,
  JobList,
  RegionList,
  Upload,
  type CreateKey,
  CreatedKey,
  RevokedKey,
} from "../contracts/api.ts";
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
import { Tenant } from "../contracts/internal-api.ts";
import type { CreateAnalysis } from "../contracts/job.ts";
import { ModelList } from "../contracts/models.ts";
import { PrimaryStatus } from "../contracts/primary.ts";
import { type CreateSpeech, VoiceList } from "../contracts/speech.ts";
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

  /** Asks for a presigned upload. */
  function createUpload(
    request: z.input<typeof CreateUpload>,
    signal?: AbortSignal,
  ): Promise<Upload> {
    return http.call("/v1/uploads", Upload, { method: "POST", body: request, signal });
  }

  /** PUTs the bytes to where `createUpload` said. */
  async function putUpload(upload: Upload, body: Blob, signal?: AbortSignal): Promise<void> {
    let response: Response;
    try {
      response = await send(upload.url, {
        method: upload.method,
        headers: upload.headers,
        body,
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ConnectionError("the object store did not answer", { cause: error });
    }
    const text = await response.text();
    if (response.ok) return;
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

  function listVoices(): Promise<z.infer<typeof VoiceList>> {
    return http.call("/v1/voices", VoiceList);
  }

  /** The models and engines of the nearest region, and which are installed. */
  function listModels(): Promise<ModelList> {
    return http.call("/v1/models", ModelList);
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
    createSpeech,
    listVoices,
    listModels,
    getUsage,
    getUserHistory,
    listRegions,
    webhooks,
    admin,
  };
}

function searchOf(query: Record<string, unknown>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}`;
}

export type Client = ReturnType<typeof createClient>;

import { z } from "zod";

interface CatalogueEntry {
  status: number;
  title: string;
  /** Whether the same request may succeed later without a change. */
  retryable: boolean;
  /** What the caller can do about it; shown in the API reference. */
  help: string;
}

/**
 * Every error a client can meet. The code is the contract; titles may be reworded.
 * Codes that begin with `audio_` also appear as a failed job's `error.code`.
 */
export const catalogue = {
  invalid_request: {
    status: 400,
    title: "The request is not valid",
    retryable: false,
    help: "Mend the fields listed under `errors`.",
  },
  malformed_json: {
    status: 400,
    title: "The body is not JSON",
    retryable: false,
    help: "Send a JSON object with content-type application/json.",
  },
  unauthenticated: {
    status: 401,
    title: "An API key is needed",
    retryable: false,
    help: "Send `Authorization: Bearer <key>`.",
  },
  invalid_api_key: {
    status: 401,
    title: "The API key is not valid",
    retryable: false,
    help: "Check the key for a typing error, or ask for a new one.",
  },
  revoked_api_key: {
    status: 401,
    title: "The API key was revoked",
    retryable: false,
    help: "Use another key; a revoked key never works again.",
  },
  expired_api_key: {
    status: 401,
    title: "The API key has expired",
    retryable: false,
    help: "Rotate the key.",
  },
  invalid_token: {
    status: 401,
    title: "The token is not valid",
    retryable: false,
    help: "Get a fresh token from an issuer that is set up for your tenant; `detail` says what is wrong.",
  },
  insufficient_scope: {
    status: 403,
    title: "The API key may not do this",
    retryable: false,
    help: "Use a key with the scope named in `detail`.",
  },
  invalid_signature: {
    status: 403,
    title: "The signature is not valid",
    retryable: false,
    help: "Use the URL exactly as it was given out.",
  },
  expired_url: {
    status: 403,
    title: "The URL has expired",
    retryable: false,
    help: "Fetch the job again for a fresh URL.",
  },
  unsigned_request: {
    status: 401,
    title: "This address only answers the edge",
    retryable: false,
    help: "Call the global API, not a region.",
  },
  replayed_request: {
    status: 401,
    title: "This signed request was seen before",
    retryable: false,
    help: "Sign every request anew.",
  },
  not_found: {
    status: 404,
    title: "There is nothing here",
    retryable: false,
    help: "Check the address against the API reference.",
  },
  job_not_found: {
    status: 404,
    title: "There is no such job",
    retryable: false,
    help: "Check the id; jobs of other tenants are not shown.",
  },
  batch_not_found: {
    status: 404,
    title: "No such batch",
    retryable: false,
    help: "Check the id; batches of other tenants are not shown, nor those older than 30 days.",
  },
  model_not_found: {
    status: 404,
    title: "There is no such model",
    retryable: false,
    help: "Take an `id` of `GET /v1/models`.",
  },
  upload_not_found: {
    status: 404,
    title: "The upload has not arrived",
    retryable: true,
    help: "PUT the file to the upload's URL first, then create the analysis.",
  },
  audio_not_found: {
    status: 404,
    title: "There is no such audio",
    retryable: false,
    help: "It may have expired or been deleted.",
  },
  method_not_allowed: {
    status: 405,
    title: "The method is not allowed here",
    retryable: false,
    help: "See the `Allow` header.",
  },
  cancel_too_late: {
    status: 409,
    title: "The job has already ended",
    retryable: false,
    help: "Read its result instead.",
  },
  tenant_exists: {
    status: 409,
    title: "There is another tenant of this id",
    retryable: false,
    help: "Take another id, or change what can be changed of that tenant with `PATCH /v1/admin/tenants/{id}`.",
  },
  not_replayable: {
    status: 409,
    title: "The job cannot be submitted again",
    retryable: false,
    help: "See `detail`; a job like it has to be made anew.",
  },
  webhook_endpoint_stopped: {
    status: 409,
    title: "The webhook endpoint is paused or disabled",
    retryable: false,
    help: "Set its `status` to `active` first.",
  },
  webhook_secret_missing: {
    status: 422,
    title: "There is no secret to sign webhooks of jobs with",
    retryable: false,
    help: "Make one with `POST /v1/webhook-secret/rotate`.",
  },
  request_in_progress: {
    status: 409,
    title: "A request with this idempotency key is being answered",
    retryable: true,
    help: "Wait a moment, then repeat it.",
  },
  body_too_slow: {
    status: 408,
    title: "The body took too long to arrive",
    retryable: true,
    help: "Send it again over a better connection; use a presigned upload for audio.",
  },
  body_too_large: {
    status: 413,
    title: "The body is too large",
    retryable: false,
    help: "Use a presigned upload for audio.",
  },
  upload_too_large: {
    status: 413,
    title: "The upload is too large",
    retryable: false,
    help: "Keep to the limit named in `detail`.",
  },
  unsupported_media_type: {
    status: 415,
    title: "The content type is not supported",
    retryable: false,
    help: "See the types listed in `detail`.",
  },
  range_not_satisfiable: {
    status: 416,
    title: "The range lies outside the audio",
    retryable: false,
    help: "See `Content-Range` for its length.",
  },
  idempotency_key_reused: {
    status: 422,
    title: "The idempotency key was used with another body",
    retryable: false,
    help: "Use a new key for a new request.",
  },
  audio_empty: {
    status: 422,
    title: "The audio is empty",
    retryable: false,
    help: "Send a file that holds sound.",
  },
  audio_unsupported: {
    status: 415,
    title: "The file is not audio that can be read",
    retryable: false,
    help: "Send wav, flac, mp3, ogg, opus, m4a or webm.",
  },
  audio_truncated: {
    status: 422,
    title: "The audio is cut short",
    retryable: false,
    help: "Upload the whole file again.",
  },
  audio_corrupt: {
    status: 422,
    title: "The audio is damaged",
    retryable: false,
    help: "Export the file anew and upload it again.",
  },
  audio_too_long: {
    status: 413,
    title: "The audio is too long",
    retryable: false,
    help: "Split it below the limit named in `detail`.",
  },
  audio_mislabelled: {
    status: 415,
    title: "The audio is not what its content type says",
    retryable: false,
    help: "Declare the type that the file really has.",
  },
  text_empty: {
    status: 422,
    title: "There is nothing to speak in the text",
    retryable: false,
    help: "Send text that holds at least one word or number.",
  },
  text_language_unsupported: {
    status: 422,
    title: "No voice here reads this text",
    retryable: false,
    help: "Send English text, or write foreign names in Latin letters.",
  },
  voice_not_installed: {
    status: 422,
    title: "The voice is known, but its model is not installed",
    retryable: false,
    help: "Install it with the command in `detail`, or take a voice of `GET /v1/voices`.",
  },
  checksum_mismatch: {
    status: 422,
    title: "The checksum does not match",
    retryable: false,
    help: "Upload the file again and declare its own SHA-256.",
  },
  language_unsupported: {
    status: 422,
    title: "No engine knows this language",
    retryable: false,
    help: "See the languages in `detail`.",
  },
  model_unavailable: {
    status: 422,
    title: "The model that was asked for is not installed",
    retryable: false,
    help: "Leave `model` out for the best one that is, or install it with the command in `detail`.",
  },
  model_unusable: {
    status: 500,
    title: "A model that is installed cannot be used",
    retryable: false,
    help: "See `detail`: its files are damaged or of another kind; install it again.",
  },
  rate_limited: {
    status: 429,
    title: "Too many requests",
    retryable: true,
    help: "Wait as long as `Retry-After` says.",
  },
  too_many_in_flight: {
    status: 429,
    title: "Too many requests wait for their answers",
    retryable: true,
    help: "Wait for some of them first; the limit is in `RateLimit-Policy`.",
  },
  system_busy: {
    status: 429,
    title: "The system is busy",
    retryable: true,
    help: "Wait as long as `Retry-After` says.",
  },
  job_attempts_exhausted: {
    status: 500,
    title: "The job failed on every attempt",
    retryable: true,
    help: "Submit it again; if it fails again, report the request id.",
  },
  internal: {
    status: 500,
    title: "Something went wrong on our side",
    retryable: true,
    help: "Try again; if it goes on, report the request id.",
  },
  not_available: {
    status: 501,
    title: "This is not available in this version",
    retryable: false,
    help: "See the changelog for when it arrives.",
  },
  deadline_exceeded: {
    status: 504,
    title: "The job was not done by its deadline",
    retryable: true,
    help: "Submit it again with a later deadline, or with a higher priority.",
  },
  job_unfinished: {
    status: 504,
    title: "The job takes longer than this call may wait",
    retryable: true,
    help: "The job goes on: ask for it at `Location`, or repeat the call with the same `Idempotency-Key` to wait for it.",
  },
  region_unavailable: {
    status: 503,
    title: "No permitted region can take this now",
    retryable: true,
    help: "Wait as long as `Retry-After` says; nothing was accepted.",
  },
  dependency_unavailable: {
    status: 503,
    title: "A part of the system is away",
    retryable: true,
    help: "Wait as long as `Retry-After` says.",
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;

export const ErrorCode = z
  .enum(Object.keys(catalogue) as [ErrorCode, ...ErrorCode[]])
  .meta({ id: "ErrorCode" });

import { QueueUnreachableError } from "./queue-port.ts";

/** What the SDK says when nothing was asked of SQS: no way there, nobody to ask as, too many calls, or no such queue. */
const nothingAsked = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "CredentialsProviderError",
  "RequestThrottled",
  "ThrottlingException",
  "AccessDeniedException",
  "QueueDoesNotExist",
]);

/**
 * A failed call's error as the queue's port has it: QueueUnreachableError where SQS took nothing. Any other comes back as it is:
 * whether it was done is not known. (The SDK tries again by itself, so an earlier try may have been taken, its answer lost; then the
 * job is here twice, which its dispatch settles.)
 */
export function sqsError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, code = "" } = error as NodeJS.ErrnoException;
  return nothingAsked.has(name) || nothingAsked.has(code)
    ? new QueueUnreachableError({ cause: error })
    : error;
}

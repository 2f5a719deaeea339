import type { ReplicaOrigin } from "./object-storage.ts";
import type { S3Request } from "./parse-request.ts";
import { S3Error } from "./s3-error.ts";

const SOURCE = "x-amz-antiphon-replica-of";
const MODIFIED = "x-amz-antiphon-replica-modified";
const ETAG = "x-amz-antiphon-replica-etag";

/** The headers by which one store tells another that a write is a copy; x-amz-* must be signed, so nobody adds them. */
export function replicaHeaders(
  sourceRegion: string,
  origin: ReplicaOrigin,
): Record<string, string> {
  return {
    [SOURCE]: sourceRegion,
    [MODIFIED]: String(origin.modified),
    ...(origin.etag === undefined ? {} : { [ETAG]: origin.etag }),
  };
}

/** Undefined for a client's own write. */
export function readReplicaOrigin(request: S3Request): ReplicaOrigin | undefined {
  if (request.header(SOURCE) === undefined) return undefined;
  const modified = request.header(MODIFIED) ?? "";
  const etag = request.header(ETAG);
  if (!/^\d{1,15}$/.test(modified) || (etag !== undefined && !/^[0-9a-f]{32}(-\d+)?$/.test(etag))) {
    throw new S3Error("InvalidArgument", "The replica's origin is malformed.");
  }
  return { modified: Number(modified), etag };
}

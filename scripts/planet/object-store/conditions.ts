import type { S3Request } from "./parse-request.ts";
import { S3Error } from "./s3-error.ts";
import type { StoredObject } from "./stored-object.ts";

/**
 * Judges If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since of a read (RFC 9110, 13.2.2).
 * @returns false when the client's copy is still good (304)
 * @throws S3Error PreconditionFailed
 */
export function readIsWanted(request: S3Request, object: StoredObject): boolean {
  const ifMatch = request.header("if-match");
  const ifUnmodified = dateOf(request.header("if-unmodified-since"));
  const modified = Math.floor(object.lastModified / 1000) * 1000;
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, object.etag)) throw failed("If-Match");
  } else if (ifUnmodified !== undefined && modified > ifUnmodified) {
    throw failed("If-Unmodified-Since");
  }
  const ifNoneMatch = request.header("if-none-match");
  if (ifNoneMatch !== undefined) return !matches(ifNoneMatch, object.etag);
  const ifModified = dateOf(request.header("if-modified-since"));
  return ifModified === undefined || modified > ifModified;
}

/**
 * Judges If-Match and If-None-Match of a write against what is there.
 * @throws S3Error PreconditionFailed, NoSuchKey (If-Match without an object)
 */
export function checkWriteConditions(request: S3Request, existing: StoredObject | undefined): void {
  const ifNoneMatch = request.header("if-none-match");
  if (ifNoneMatch !== undefined && existing && matches(ifNoneMatch, existing.etag)) {
    throw failed("If-None-Match");
  }
  const ifMatch = request.header("if-match");
  if (ifMatch === undefined) return;
  if (!existing) throw new S3Error("NoSuchKey", "The specified key does not exist.");
  if (!matches(ifMatch, existing.etag)) throw failed("If-Match");
}

function matches(header: string, etag: string): boolean {
  return header.split(",").some((entry) => {
    const tag = entry
      .trim()
      .replace(/^W\//, "")
      .replace(/^"(.*)"$/, "$1");
    return tag === "*" || tag === etag;
  });
}

function dateOf(header: string | undefined): number | undefined {
  const time = header === undefined ? Number.NaN : Date.parse(header);
  return Number.isNaN(time) ? undefined : time;
}

function failed(condition: string): S3Error {
  return new S3Error(
    "PreconditionFailed",
    `At least one of the pre-conditions you specified did not hold: ${condition}`,
  );
}

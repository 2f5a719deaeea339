import {
  createBucket,
  headBucket,
  listObjectsV2,
  listObjectVersions,
} from "./bucket-operations.ts";
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  uploadPart,
} from "./multipart-operations.ts";
import {
  copyObject,
  deleteObject,
  deleteVersion,
  getObject,
  headObject,
  putObject,
} from "./object-operations.ts";
import type { Operation } from "./operation.ts";
import type { S3Request } from "./parse-request.ts";
import { S3Error } from "./s3-error.ts";
import { getObjectTagging, putObjectTagging } from "./tagging-operations.ts";

interface Route {
  method: string;
  of: "bucket" | "object";
  /** Query parameters that select the operation. */
  needs?: string[];
  /** A header that selects it. */
  header?: string;
  /** Further query parameters that it understands. */
  takes?: string[];
  run: Operation;
}

const OVERRIDES = [
  "response-cache-control",
  "response-content-disposition",
  "response-content-encoding",
  "response-content-language",
  "response-content-type",
  "response-expires",
];
const LISTING = [
  "prefix",
  "delimiter",
  "max-keys",
  "continuation-token",
  "start-after",
  "encoding-type",
  "fetch-owner",
];

// The first that fits is taken, so the more special stand first.
const ROUTES: Route[] = [
  { method: "PUT", of: "bucket", run: createBucket },
  { method: "HEAD", of: "bucket", run: headBucket },
  { method: "GET", of: "bucket", needs: ["list-type"], takes: LISTING, run: listObjectsV2 },
  {
    method: "GET",
    of: "bucket",
    needs: ["versions"],
    takes: ["prefix", "max-keys", "key-marker", "version-id-marker", "encoding-type"],
    run: listObjectVersions,
  },
  { method: "PUT", of: "object", needs: ["partNumber", "uploadId"], run: uploadPart },
  { method: "PUT", of: "object", needs: ["tagging"], run: putObjectTagging },
  { method: "PUT", of: "object", header: "x-amz-copy-source", run: copyObject },
  { method: "PUT", of: "object", run: putObject },
  { method: "GET", of: "object", needs: ["tagging"], run: getObjectTagging },
  { method: "GET", of: "object", takes: OVERRIDES, run: getObject },
  { method: "HEAD", of: "object", takes: OVERRIDES, run: headObject },
  { method: "DELETE", of: "object", needs: ["uploadId"], run: abortMultipartUpload },
  { method: "DELETE", of: "object", needs: ["versionId"], run: deleteVersion },
  { method: "DELETE", of: "object", run: deleteObject },
  { method: "POST", of: "object", needs: ["uploads"], run: createMultipartUpload },
  { method: "POST", of: "object", needs: ["uploadId"], run: completeMultipartUpload },
];

/**
 * Picks the operation that a request asks for. A query parameter that the operation does not know makes it
 * another one (`?acl`, `?versionId`), which must not be mistaken for a plain read or write.
 * @throws S3Error NotImplemented
 */
export function findOperation(request: S3Request): Operation {
  const parameters = [...request.query.keys()].filter(
    (name) => name !== "x-id" && !name.toLowerCase().startsWith("x-amz-"),
  );
  const of = request.key === undefined ? "bucket" : "object";
  const route = ROUTES.find(
    ({ method, needs = [], takes = [], ...candidate }) =>
      request.bucket !== undefined &&
      candidate.of === of &&
      method === request.method &&
      needs.every((name) => request.query.has(name)) &&
      parameters.every((name) => needs.includes(name) || takes.includes(name)) &&
      (candidate.header === undefined || request.amz(candidate.header) !== undefined),
  );
  if (!route || (request.query.get("list-type") ?? "2") !== "2") {
    throw new S3Error("NotImplemented", "This operation is not implemented here.");
  }
  return route.run;
}

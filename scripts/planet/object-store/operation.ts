import type { ServerResponse } from "node:http";
import type { MultipartStorage } from "./multipart-storage.ts";
import type { ObjectStorage } from "./object-storage.ts";
import type { S3Request } from "./parse-request.ts";
import { S3Error } from "./s3-error.ts";

/** What the operations work with. */
export interface StoreServices {
  region: string;
  storage: ObjectStorage;
  multipart: MultipartStorage;
  maxObjectBytes: number;
}

/** A request whose signature has been checked. */
export interface Exchange {
  request: S3Request;
  response: ServerResponse;
  /** What the signature says of the body. */
  payloadHash: string;
}

export type Operation = (services: StoreServices, exchange: Exchange) => Promise<void>;

/** The bucket and key of a request that is routed by having them. */
export function locate(request: S3Request): { bucket: string; key: string } {
  const { bucket, key } = request;
  if (bucket === undefined || key === undefined) {
    throw new S3Error("InvalidURI", "The request names no object.");
  }
  return { bucket, key };
}

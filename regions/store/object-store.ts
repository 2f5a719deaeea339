import type { Readable } from "node:stream";
import {
  CopyObjectCommand,
  type DeleteMarkerEntry,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  type ObjectVersion,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { createHeadObject, type ObjectFacts } from "./head-object.ts";
import type { ObjectCall, ObjectHead, ObjectStore, PutObject } from "./object-store-port.ts";
import { sha256Of } from "./sha256-of.ts";

export interface ObjectStoreOptions {
  /** Region id of ours; names the AWS region. */
  region: string;
  bucket: string;
  /** Absent: AWS itself. */
  endpoint?: string | undefined;
  /** Absent: the SDK's own chain (environment, instance role). */
  accessKeyId?: string | undefined;
  secretAccessKey?: string | undefined;
  /** Tries per call, the first one included. */
  maxAttempts?: number;
  connectTimeoutMs?: number;
  /** Silence after which a call is given up. */
  requestTimeoutMs?: number;
}

/** Versions that are removed at once. */
const ERASE_CONCURRENCY = 8;

/** What S3 says where a condition of a write does not hold. */
const NOT_NEW = ["PreconditionFailed"];
const NOT_REPLACED = [...NOT_NEW, "ConditionalRequestConflict", "NoSuchKey"];

/** The S3 adapter; the only module that knows the SDK. */
export function createObjectStore(options: ObjectStoreOptions): ObjectStore {
  const { region, bucket, endpoint, accessKeyId, secretAccessKey } = options;
  const { maxAttempts = 3, connectTimeoutMs = 2000, requestTimeoutMs = 15_000 } = options;
  const aws = findRegion(region)?.aws;
  if (!aws) throw new Error(`no region is called ${region}`);
  const client = new S3Client({
    region: aws,
    maxAttempts,
    // Other stores than AWS do not know the SDK's own trailing checksums.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
    },
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    ...(accessKeyId && secretAccessKey ? { credentials: { accessKeyId, secretAccessKey } } : {}),
  });
  const quick = createHeadObject({
    awsRegion: aws,
    bucket,
    endpoint,
    credentials: async () => client.config.credentials(),
    timeoutMs: requestTimeoutMs,
  });
  const at = (key: string) => ({ Bucket: bucket, Key: key });
  const abort = ({ signal }: ObjectCall = {}) => (signal ? { abortSignal: signal } : {});

  /** False when the condition does not hold: also for another write at the same moment, or an object that has gone. */
  async function putIf(
    key: string,
    body: Uint8Array | string,
    { contentType, ...call }: PutObject,
    condition: { IfNoneMatch: "*" } | { IfMatch: string },
  ): Promise<boolean> {
    const put = { ...at(key), Body: body, ContentType: contentType, ...condition };
    return orAway(call, async () => {
      try {
        await client.send(new PutObjectCommand(put), abort(call));
        return true;
      } catch (error) {
        const failed = "IfMatch" in condition ? NOT_REPLACED : NOT_NEW;
        if (error instanceof S3ServiceException && failed.includes(error.name)) return false;
        throw error;
      }
    });
  }

  return {
    async head(key, call) {
      return orUndefined(call, async () => {
        const found = await quick.head(key, call?.signal).catch(() => "unclear" as const);
        if (found !== "unclear") return found && toHead(found);
        call?.signal?.throwIfAborted();
        return toHead(
          await client.send(
            new HeadObjectCommand({ ...at(key), ChecksumMode: "ENABLED" }),
            abort(call),
          ),
        );
      });
    },
    async get(key, call) {
      return orUndefined(call, async () => {
        const found = await client.send(new GetObjectCommand(at(key)), abort(call));
        return {
          ...toHead(found),
          metadata: found.Metadata ?? {},
          body: found.Body as Readable,
        };
      });
    },
    async getText(key, maxBytes, call) {
      const { offset = 0, bytes: wanted } = call?.range ?? {};
      const range = wanted === undefined ? {} : { Range: `bytes=${offset}-${offset + wanted - 1}` };
      return orUndefined(call, async () => {
        const found = await client.send(
          new GetObjectCommand({ ...at(key), ...range }),
          abort(call),
        );
        const body = found.Body as Readable;
        const chunks: Buffer[] = [];
        let bytes = 0;
        // Leaving the loop by an error destroys the stream.
        for await (const chunk of body as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          if (bytes > maxBytes) throw new RangeError(`${key} is larger than ${maxBytes} bytes`);
          chunks.push(chunk);
        }
        return Buffer.concat(chunks).toString("utf8");
      });
    },
    async put(key, body, { contentType, bytes, metadata, ...call }) {
      const length = bytes === undefined ? {} : { ContentLength: bytes };
      const command = new PutObjectCommand({
        ...at(key),
        Body: body,
        ContentType: contentType,
        ...(metadata ? { Metadata: metadata } : {}),
        ...length,
      });
      await orAway(call, () => client.send(command, abort(call)));
    },
    putNew: (key, body, options) => putIf(key, body, options, { IfNoneMatch: "*" }),
    replace: (key, body, { ifMatch, ...options }) =>
      putIf(key, body, options, { IfMatch: ifMatch }),
    async copy(from, to, call) {
      const source = [bucket, ...from.split("/")].map(encodeURIComponent).join("/");
      const done = await orUndefined(call, () =>
        client.send(
          new CopyObjectCommand({
            ...at(to),
            CopySource: source,
            MetadataDirective: "COPY",
            ...(call?.ifMatch === undefined ? {} : { CopySourceIfMatch: call.ifMatch }),
          }),
          abort(call),
        ),
      );
      return done !== undefined;
    },
    async delete(key, call) {
      await orUndefined(call, () => client.send(new DeleteObjectCommand(at(key)), abort(call)));
    },
    async eraseVersions(prefix, call) {
      const isOld = ({ LastModified, IsLatest }: ObjectVersion | DeleteMarkerEntry) =>
        (!call?.upTo || !LastModified || LastModified <= call.upTo) &&
        !(call?.keepNewest && IsLatest);
      let removed = 0;
      let key: string | undefined;
      let version: string | undefined;
      do {
        const command = new ListObjectVersionsCommand({
          Bucket: bucket,
          Prefix: prefix,
          KeyMarker: key,
          VersionIdMarker: version,
        });
        const page: ListObjectVersionsCommandOutput = await orAway(call, () =>
          client.send(command, abort(call)),
        );
        const versions = (page.Versions ?? []).filter(isOld);
        const doomed = [...versions, ...(page.DeleteMarkers ?? []).filter(isOld)].values();
        const work = async () => {
          for (const { Key, VersionId } of doomed) {
            const one = new DeleteObjectCommand({ ...at(Key!), VersionId });
            await orAway(call, () => client.send(one, abort(call)));
          }
        };
        await Promise.all(Array.from({ length: ERASE_CONCURRENCY }, work));
        removed += versions.length;
        key = page.IsTruncated ? page.NextKeyMarker : undefined;
        version = page.NextVersionIdMarker;
      } while (key !== undefined);
      return removed;
    },
    async list(prefix, limit, call) {
      const keys: string[] = [];
      let token: string | undefined;
      do {
        const command = new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          MaxKeys: Math.min(1000, limit - keys.length),
          ...(token ? { ContinuationToken: token } : {}),
        });
        const page = await orAway(call, () => client.send(command, abort(call)));
        for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key);
        token = page.IsTruncated ? page.NextContinuationToken : undefined;
      } while (token && keys.length < limit);
      return keys;
    },
    async isReachable(call) {
      await client.send(new HeadBucketCommand({ Bucket: bucket }), abort(call));
      return true;
    },
    close() {
      quick.close();
      client.destroy();
    },
  };
}

function toHead(facts: ObjectFacts): ObjectHead {
  return {
    bytes: facts.ContentLength ?? 0,
    contentType: facts.ContentType,
    etag: facts.ETag,
    lastModified: facts.LastModified,
    sha256: sha256Of(facts.ChecksumSHA256),
  };
}

async function orUndefined<T>(
  call: ObjectCall | undefined,
  work: () => Promise<T>,
): Promise<T | undefined> {
  return orAway(call, async () => {
    try {
      return await work();
    } catch (error) {
      const missing =
        error instanceof S3ServiceException && ["NoSuchKey", "NotFound"].includes(error.name);
      if (missing) return undefined;
      throw error;
    }
  });
}

/** The caller's own abort and faults pass; whatever else the store says means that it cannot be used now. */
async function orAway<T>(call: ObjectCall | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    call?.signal?.throwIfAborted();
    if (error instanceof RangeError) throw error;
    throw new ApiError("dependency_unavailable", "The object store is away.", { cause: error });
  }
}

import type { Readable } from "node:stream";

export interface ObjectHead {
  bytes: number;
  contentType: string | undefined;
  /** As the store gives it, quotes and all. */
  etag: string | undefined;
  lastModified: Date | undefined;
  /** Of the whole content, hex, where it was given with the upload: the store has checked it. Told by `head` alone. */
  sha256?: string | undefined;
}

export interface StoredObject extends ObjectHead {
  /** What was put with it, by lower-case names. */
  metadata: Readonly<Record<string, string>>;
  /** Destroy it when it is not read to the end. */
  body: Readable;
}

export interface ObjectCall {
  signal?: AbortSignal;
}

export interface CopyObject extends ObjectCall {
  ifMatch?: string | undefined;
}

export interface PutObject extends ObjectCall {
  contentType: string;
  /** Needed for a stream, whose length the store cannot see. */
  bytes?: number;
  /** Kept with the object: a few short values. */
  metadata?: Record<string, string>;
}

export interface GetText extends ObjectCall {
  /** Of the object's bytes; absent: all of them. */
  range?: { offset: number; bytes: number };
}

export interface EraseVersions extends ObjectCall {
  upTo?: Date;
  keepNewest?: boolean;
}

/**
 * This region's bucket. What is not there is undefined, never an error.
 * Every call throws ApiError dependency_unavailable while the store is away.
 */
export interface ObjectStore {
  head(key: string, call?: ObjectCall): Promise<ObjectHead | undefined>;
  get(key: string, call?: ObjectCall): Promise<StoredObject | undefined>;
  /** An object, or a range of it, as text; throws RangeError when that is larger than `maxBytes`. */
  getText(key: string, maxBytes: number, call?: GetText): Promise<string | undefined>;
  put(key: string, body: Uint8Array | string | Readable, options: PutObject): Promise<void>;
  /** Writes an object that is not there yet; false, without effect, when one is. */
  putNew(key: string, body: Uint8Array | string, options: PutObject): Promise<boolean>;
  /** Writes over the object with the etag `ifMatch`; false, without effect, when that is no longer what is there. */
  replace(
    key: string,
    body: Uint8Array | string,
    options: PutObject & { ifMatch: string },
  ): Promise<boolean>;
  /**
   * Copies within the bucket, on the server, with its content type; false when `from` is not there.
   * Throws when `from` is no longer the one with the etag `ifMatch`.
   */
  copy(from: string, to: string, call?: CopyObject): Promise<boolean>;
  /** Deleting what is not there is no error. */
  delete(key: string, call?: ObjectCall): Promise<void>;
  /**
   * Removes every version of every object whose key begins with `prefix`, and what marks them as deleted, for good; but for
   * versions that were written after `upTo`, and, where `keepNewest` is asked for, what each object is now. Settles to how many objects'
   * versions there were.
   */
  eraseVersions(prefix: string, call?: EraseVersions): Promise<number>;
  /** Keys below a prefix, in order, `limit` at most. */
  list(prefix: string, limit: number, call?: ObjectCall): Promise<string[]>;
  /** Whether the bucket answers. */
  isReachable(call?: ObjectCall): Promise<boolean>;
  close(): void;
}

import type { ChecksumName } from "./body-checksum.ts";

/** What a client says of an object besides its bytes. */
export interface ObjectAttributes {
  contentType: string;
  /** cache-control, content-disposition, content-encoding, content-language, expires. */
  headers: Record<string, string>;
  /** Without the x-amz-meta- prefix. */
  userMetadata: Record<string, string>;
  tags: Record<string, string>;
}

/** The bytes' own facts. */
export interface ObjectContent {
  size: number;
  /** Without quotes. */
  etag: string;
  /** Hex. */
  sha256: string;
  checksums: Partial<Record<ChecksumName, string>>;
}

/** How an object stands with the peers; absent when no rule covers its key. */
interface ReplicationState {
  status: "PENDING" | "COMPLETED" | "REPLICA";
  /** Regions that still lack this revision. */
  pending: string[];
}

/** An object's whole record, as kept in the JSON file beside its bytes. */
export interface StoredObject extends ObjectAttributes, ObjectContent {
  bucket: string;
  key: string;
  /** File name of the bytes; a file of bytes never changes. */
  blob: string;
  /** Milliseconds since 1970. */
  lastModified: number;
  /** Changes with every write of the record, so that a finished copy can tell whether it is of the newest. */
  revision: string;
  /** The multipart upload that made it. */
  uploadId?: string;
  replication?: ReplicationState;
}

/** A delete that peers have yet to hear of. */
export interface Tombstone {
  bucket: string;
  key: string;
  /** Milliseconds since 1970. */
  deletedAt: number;
  pending: string[];
}

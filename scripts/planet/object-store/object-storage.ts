import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder, syncFolder, withTemporary, writeJson } from "./durable-files.ts";
import { type KeyIndex, createKeyIndex } from "./key-index.ts";
import { createKeyLock } from "./key-lock.ts";
import { createObjectFiles } from "./object-files.ts";
import type { ReplicationRules } from "./replication-rules.ts";
import { S3Error } from "./s3-error.ts";
import type { ObjectAttributes, ObjectContent, StoredObject, Tombstone } from "./stored-object.ts";

interface ObjectStorageOptions {
  dataDir: string;
  /** Milliseconds since 1970. */
  now: () => number;
  rules: ReplicationRules;
  /** Called after a write that a peer is to hear of has been committed. */
  onPending: (destination: string, bucket: string, key: string) => void;
}

/** Marks a write as a copy from a peer: it is not passed on, and gives way to what is newer. */
export interface ReplicaOrigin {
  /** The source's time of the write, milliseconds since 1970. */
  modified: number;
  etag?: string | undefined;
}

interface ObjectDraft extends ObjectAttributes, ObjectContent {
  bucket: string;
  key: string;
  uploadId?: string;
  replica?: ReplicaOrigin | undefined;
}

/** Throws when a conditional write must not happen; sees what is there now. */
type WriteCheck = (existing: StoredObject | undefined) => void;

export type ObjectStorage = Awaited<ReturnType<typeof openObjectStorage>>;

/** Opens the data folder, rebuilds the indexes, and returns the operations on objects. */
export async function openObjectStorage(options: ObjectStorageOptions) {
  const { now, rules, onPending } = options;
  const files = createObjectFiles(options.dataDir);
  const withLock = createKeyLock();
  const buckets = new Map<string, { objects: Map<string, StoredObject>; index: KeyIndex }>();
  const tombstones = new Map<string, Tombstone>();

  for (const name of await files.open()) {
    const objects = await files.loadBucket(name);
    buckets.set(name, {
      objects: new Map(objects.map((object) => [object.key, object])),
      index: createKeyIndex(objects.map((object) => object.key)),
    });
  }
  for (const tombstone of await files.loadTombstones()) {
    tombstones.set(nameOf(tombstone.bucket, tombstone.key), tombstone);
  }

  function bucketOf(name: string) {
    const bucket = buckets.get(name);
    if (!bucket) throw new S3Error("NoSuchBucket", "The specified bucket does not exist.");
    return bucket;
  }

  function find(bucket: string, key: string): StoredObject | undefined {
    return bucketOf(bucket).objects.get(key);
  }

  async function createBucket(bucket: string): Promise<boolean> {
    return withLock(nameOf(bucket, ""), async () => {
      if (buckets.has(bucket)) return false;
      await makeFolder(files.bucketFolder(bucket));
      buckets.set(bucket, { objects: new Map(), index: createKeyIndex() });
      return true;
    });
  }

  /** Makes the bytes at `temporary` the object; either all of it is visible and on the disk, or nothing. */
  async function commit(draft: ObjectDraft, temporary: string, check: WriteCheck) {
    const { replica, ...rest } = draft;
    const { objects, index } = bucketOf(draft.bucket);
    const name = nameOf(draft.bucket, draft.key);
    return withLock(name, async () => {
      const existing = objects.get(draft.key);
      check(existing);
      const pending = replica ? [] : rules.copiesTo(draft.bucket, draft.key);
      const object: StoredObject = {
        ...rest,
        etag: replica?.etag ?? rest.etag,
        blob: files.newBlobName(draft.key),
        lastModified: replica?.modified ?? now(),
        revision: newRevision(),
      };
      if (replica) object.replication = { status: "REPLICA", pending };
      else if (pending.length > 0) object.replication = { status: "PENDING", pending };
      const newest = Math.max(existing?.lastModified ?? 0, tombstones.get(name)?.deletedAt ?? 0);
      if (replica && newest > replica.modified) return existing ?? object;
      const shard = await files.shard(draft.bucket, draft.key);
      await rename(temporary, files.blobPath(object));
      // The bytes' name must be durable before a record that points to it.
      await syncFolder(shard);
      await saveRecord(object);
      objects.set(draft.key, object);
      index.add(draft.key);
      if (existing) await rm(files.blobPath(existing), { force: true });
      await dropTombstone(name);
      announce(object.bucket, object.key, pending);
      return object;
    });
  }

  /** @param tellPeers whether the rules that replicate deletes hold for this one */
  async function remove(
    bucket: string,
    key: string,
    check: WriteCheck,
    replica?: ReplicaOrigin,
    tellPeers = true,
  ) {
    const { objects, index } = bucketOf(bucket);
    const name = nameOf(bucket, key);
    await withLock(name, async () => {
      const existing = objects.get(key);
      check(existing);
      if (replica && (existing?.lastModified ?? 0) > replica.modified) return;
      const pending = replica || !tellPeers ? [] : rules.deletesTo(bucket, key);
      if (pending.length > 0) {
        const tombstone = { bucket, key, deletedAt: now(), pending };
        await writeJson(files.tombstonePath(bucket, key), files.temporary, tombstone);
        tombstones.set(name, tombstone);
      }
      if (existing) {
        const record = files.recordPath(bucket, key);
        await unlink(record);
        await syncFolder(dirname(record));
        objects.delete(key);
        index.remove(key);
        await rm(files.blobPath(existing), { force: true });
      }
      announce(bucket, key, pending);
    });
  }

  async function setTags(bucket: string, key: string, tags: Record<string, string>) {
    const { objects } = bucketOf(bucket);
    await withLock(nameOf(bucket, key), async () => {
      const existing = objects.get(key);
      if (!existing) throw new S3Error("NoSuchKey", "The specified key does not exist.");
      const object = { ...existing, tags, revision: newRevision() };
      const pending = existing.replication?.status === "REPLICA" ? [] : rules.copiesTo(bucket, key);
      if (pending.length > 0) object.replication = { status: "PENDING", pending };
      await saveRecord(object);
      objects.set(key, object);
      announce(bucket, key, pending);
    });
  }

  /** Opens the bytes of the newest record; the handle stays good when the object is replaced meanwhile. */
  async function openNewest(bucket: string, key: string) {
    for (;;) {
      const object = find(bucket, key);
      if (!object) throw new S3Error("NoSuchKey", "The specified key does not exist.");
      const handle = await openBlob(object);
      if (handle) return { object, handle };
      if (find(bucket, key)?.blob === object.blob) {
        throw new Error(`The bytes of ${bucket}/${key} are missing.`);
      }
    }
  }

  async function openBlob(object: StoredObject): Promise<FileHandle | undefined> {
    try {
      return await open(files.blobPath(object), "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /**
   * Notes that a region has this revision of the object, or has heard of this delete; or, when not
   * `brought`, that the rules no longer let it go there.
   */
  async function settle(destination: string, done: StoredObject | Tombstone, brought: boolean) {
    const name = nameOf(done.bucket, done.key);
    await withLock(name, async () => {
      if ("deletedAt" in done) {
        const tombstone = tombstones.get(name);
        if (tombstone?.deletedAt !== done.deletedAt) return;
        const pending = tombstone.pending.filter((region) => region !== destination);
        if (pending.length === 0) return dropTombstone(name);
        const path = files.tombstonePath(done.bucket, done.key);
        await writeJson(path, files.temporary, { ...tombstone, pending });
        tombstones.set(name, { ...tombstone, pending });
        return;
      }
      const object = find(done.bucket, done.key);
      if (object?.revision !== done.revision || !object.replication) return;
      const pending = object.replication.pending.filter((region) => region !== destination);
      const status = pending.length === 0 ? "COMPLETED" : "PENDING";
      const settled: StoredObject = { ...object, replication: { status, pending } };
      // Nobody may count on a second copy that was never made.
      if (!brought && pending.length === 0) delete settled.replication;
      await saveRecord(settled);
      bucketOf(done.bucket).objects.set(done.key, settled);
    });
  }

  /** What a region lacks of a key: the object, or word of its deletion. */
  function owed(destination: string, bucket: string, key: string) {
    const object = find(bucket, key);
    if (object) return object.replication?.pending.includes(destination) ? object : undefined;
    const tombstone = tombstones.get(nameOf(bucket, key));
    return tombstone?.pending.includes(destination) ? tombstone : undefined;
  }

  /** Everything that peers lacked when the store was opened. */
  function* allOwed(): Generator<{ destination: string; bucket: string; key: string }> {
    for (const [bucket, { objects }] of buckets) {
      for (const { key, replication } of objects.values()) {
        for (const destination of replication?.pending ?? []) yield { destination, bucket, key };
      }
    }
    for (const { bucket, key, pending } of tombstones.values()) {
      for (const destination of pending) yield { destination, bucket, key };
    }
  }

  async function saveRecord(object: StoredObject): Promise<void> {
    const path = files.recordPath(object.bucket, object.key);
    await writeJson(path, files.temporary, object);
  }

  async function dropTombstone(name: string): Promise<void> {
    const tombstone = tombstones.get(name);
    if (!tombstone) return;
    await rm(files.tombstonePath(tombstone.bucket, tombstone.key), { force: true });
    tombstones.delete(name);
  }

  function announce(bucket: string, key: string, destinations: string[]): void {
    for (const destination of destinations) onPending(destination, bucket, key);
  }

  return {
    createBucket,
    find,
    index: (bucket: string) => bucketOf(bucket).index,
    commit,
    remove,
    setTags,
    openNewest,
    openBlob,
    blobPath: files.blobPath,
    settle,
    owed,
    allOwed,
    withTemporary: <T>(work: (path: string) => Promise<T>) => withTemporary(files.temporary, work),
  };
}

function nameOf(bucket: string, key: string): string {
  return `${bucket}/${key}`;
}

function newRevision(): string {
  return randomBytes(8).toString("hex");
}

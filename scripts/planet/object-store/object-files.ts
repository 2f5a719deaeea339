import { createHash, randomBytes } from "node:crypto";
import { readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "./durable-files.ts";
import type { StoredObject, Tombstone } from "./stored-object.ts";

/**
 * Where things lie on the disk. A file's name is made of the SHA-256 of its key, so no key can name a
 * path:
 *   buckets/BUCKET/ab/abcd….json        an object's record; its rename commits a write
 *   buckets/BUCKET/ab/abcd….0123….data  bytes, immutable, named by the record
 *   tombstones/….json                   deletes that peers have yet to hear of
 *   temporary/                          unfinished; emptied at start
 */
export function createObjectFiles(dataDir: string) {
  const buckets = join(dataDir, "buckets");
  const tombstones = join(dataDir, "tombstones");
  const temporary = join(dataDir, "temporary");
  const shards = new Set<string>();

  function shardOf(bucket: string, key: string): string {
    return join(buckets, bucket, digest(key).slice(0, 2));
  }

  return {
    temporary,
    bucketFolder: (bucket: string) => join(buckets, bucket),
    recordPath: (bucket: string, key: string) => join(shardOf(bucket, key), `${digest(key)}.json`),
    newBlobName: (key: string) => `${digest(key)}.${randomBytes(8).toString("hex")}.data`,
    blobPath: (object: Pick<StoredObject, "bucket" | "key" | "blob">) =>
      join(shardOf(object.bucket, object.key), object.blob),
    tombstonePath: (bucket: string, key: string) =>
      join(tombstones, `${digest(`${bucket}/${key}`)}.json`),

    /** The folder for a key's files, created when it is the first one there. */
    async shard(bucket: string, key: string): Promise<string> {
      const folder = shardOf(bucket, key);
      if (!shards.has(folder)) {
        await makeFolder(folder);
        shards.add(folder);
      }
      return folder;
    },

    /** Creates the layout, removes unfinished files, and returns the names of the buckets. */
    async open(): Promise<string[]> {
      await rm(temporary, { recursive: true, force: true });
      for (const folder of [buckets, tombstones, temporary]) await makeFolder(folder);
      return readdir(buckets);
    },

    /** Reads all records of a bucket, and removes bytes that no record names. */
    async loadBucket(bucket: string): Promise<StoredObject[]> {
      const objects: StoredObject[] = [];
      for (const shard of await readdir(join(buckets, bucket))) {
        const folder = join(buckets, bucket, shard);
        const names = await readdir(folder);
        const found = await readAll<StoredObject>(folder, names);
        const named = new Set(found.map((object) => object.blob));
        for (const name of names) {
          if (name.endsWith(".data") && !named.has(name)) await rm(join(folder, name));
        }
        objects.push(...found);
      }
      return objects;
    },

    async loadTombstones(): Promise<Tombstone[]> {
      return readAll<Tombstone>(tombstones, await readdir(tombstones));
    },
  };
}

async function readAll<T>(folder: string, names: string[]): Promise<T[]> {
  const values: T[] = [];
  for (const name of names) {
    if (!name.endsWith(".json")) continue;
    try {
      values.push(JSON.parse(await readFile(join(folder, name), "utf8")) as T);
    } catch (cause) {
      throw new Error(`The object store's record ${join(folder, name)} is unreadable.`, { cause });
    }
  }
  return values;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

import { createHash, randomBytes } from "node:crypto";
import { readFile, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  makeFolder,
  readFiles,
  syncFolder,
  withTemporary,
  writeChunks,
  writeJson,
} from "./durable-files.ts";
import { createKeyLock } from "./key-lock.ts";
import type { ReceivedBody } from "./receive-body.ts";
import { S3Error } from "./s3-error.ts";
import type { ObjectAttributes, ObjectContent } from "./stored-object.ts";

const STALE_MS = 7 * 24 * 3600_000;

interface Upload {
  id: string;
  bucket: string;
  key: string;
  attributes: ObjectAttributes;
  /** Milliseconds since 1970. */
  initiated: number;
  parts: Map<number, Part>;
}

interface Part extends Pick<ReceivedBody, "size" | "checksums"> {
  number: number;
  etag: string;
  file: string;
}

/** A part as CompleteMultipartUpload names it. */
export interface NamedPart {
  number: number;
  etag: string;
  checksums: ReceivedBody["checksums"];
}

interface MultipartStorageOptions {
  dataDir: string;
  now: () => number;
  /** Smallest size of any part but the last, bytes. */
  minPartBytes: number;
  maxObjectBytes: number;
}

export type MultipartStorage = Awaited<ReturnType<typeof openMultipartStorage>>;

/** Opens the unfinished multipart uploads; those older than a week are dropped. */
export async function openMultipartStorage(options: MultipartStorageOptions) {
  const root = join(options.dataDir, "uploads");
  const withLock = createKeyLock();
  const uploads = new Map<string, Upload>();
  await makeFolder(root);
  for (const id of await readdir(root)) {
    const upload = await load(join(root, id));
    if (upload && options.now() - upload.initiated < STALE_MS) uploads.set(id, upload);
    else await rm(join(root, id), { recursive: true, force: true });
  }

  function find(id: string, bucket: string, key: string): Upload {
    const upload = uploads.get(id);
    if (upload?.bucket !== bucket || upload.key !== key) {
      throw new S3Error("NoSuchUpload", "The specified multipart upload does not exist.");
    }
    return upload;
  }

  async function create(bucket: string, key: string, attributes: ObjectAttributes) {
    const id = randomBytes(16).toString("hex");
    const folder = join(root, id);
    const upload = { id, bucket, key, attributes, initiated: options.now() };
    await makeFolder(folder);
    await writeJson(join(folder, "upload.json"), folder, upload);
    uploads.set(id, { ...upload, parts: new Map() });
    return id;
  }

  /** Makes the bytes at `temporary` the part; an earlier part of that number is replaced. */
  async function addPart(upload: Upload, number: number, body: ReceivedBody, temporary: string) {
    return withLock(upload.id, async () => {
      find(upload.id, upload.bucket, upload.key);
      const folder = join(root, upload.id);
      const part: Part = {
        number,
        etag: body.md5.toString("hex"),
        size: body.size,
        checksums: body.checksums,
        file: `${number}.${randomBytes(8).toString("hex")}.data`,
      };
      await rename(temporary, join(folder, part.file));
      await syncFolder(folder);
      await writeJson(join(folder, `${number}.part.json`), folder, part);
      const earlier = upload.parts.get(number);
      upload.parts.set(number, part);
      if (earlier) await rm(join(folder, earlier.file), { force: true });
      return part.etag;
    });
  }

  /** Joins the named parts into one file, hands it to `commit`, and forgets the upload when that went well. */
  async function complete<T>(
    upload: Upload,
    named: NamedPart[],
    commit: (content: ObjectContent, temporary: string) => Promise<T>,
  ): Promise<T> {
    return withLock(upload.id, async () => {
      find(upload.id, upload.bucket, upload.key);
      const parts = choose(upload, named);
      const folder = join(root, upload.id);
      const sha256 = createHash("sha256");
      async function* hashed() {
        for await (const chunk of readFiles(parts.map((part) => join(folder, part.file)))) {
          sha256.update(chunk);
          yield chunk;
        }
      }
      return withTemporary(folder, async (temporary) => {
        await writeChunks(temporary, hashed());
        const md5s = Buffer.concat(parts.map((part) => Buffer.from(part.etag, "hex")));
        const md5 = createHash("md5").update(md5s).digest("hex");
        const content: ObjectContent = {
          size: parts.reduce((sum, part) => sum + part.size, 0),
          etag: `${md5}-${parts.length}`,
          sha256: sha256.digest("hex"),
          checksums: {},
        };
        const result = await commit(content, temporary);
        await forget(upload.id);
        return result;
      });
    });
  }

  async function abort(upload: Upload): Promise<void> {
    await withLock(upload.id, () => forget(upload.id));
  }

  async function forget(id: string): Promise<void> {
    uploads.delete(id);
    await rm(join(root, id), { recursive: true, force: true });
  }

  function choose(upload: Upload, named: NamedPart[]): Part[] {
    if (named.some(({ number }, position) => number <= (named[position - 1]?.number ?? 0))) {
      throw new S3Error("InvalidPartOrder", "The list of parts was not in ascending order.");
    }
    let total = 0;
    return named.map(({ number, etag, checksums }, position) => {
      const part = upload.parts.get(number);
      const agrees = Object.entries(checksums).every(
        ([name, value]) => part?.checksums[name as keyof typeof checksums] === value,
      );
      if (!part || part.etag !== etag || !agrees) {
        throw new S3Error("InvalidPart", `Part ${number} could not be found, or it differs.`);
      }
      if (part.size < options.minPartBytes && position < named.length - 1) {
        throw new S3Error("EntityTooSmall", `Part ${number} is smaller than the minimum.`);
      }
      total += part.size;
      if (total > options.maxObjectBytes) {
        throw new S3Error("EntityTooLarge", "The parts exceed the maximum allowed size.");
      }
      return part;
    });
  }

  return { find, create, addPart, complete, abort };
}

async function load(folder: string): Promise<Upload | undefined> {
  const names = await readdir(folder);
  // A crash can leave a folder whose upload no client has heard of.
  if (!names.includes("upload.json")) return undefined;
  const upload = JSON.parse(await readFile(join(folder, "upload.json"), "utf8")) as Upload;
  const parts = new Map<number, Part>();
  for (const name of names.filter((candidate) => candidate.endsWith(".part.json"))) {
    const part = JSON.parse(await readFile(join(folder, name), "utf8")) as Part;
    parts.set(part.number, part);
  }
  const kept = new Set([...parts.values()].map((part) => part.file));
  for (const name of names) {
    if (!name.endsWith(".json") && !kept.has(name)) await rm(join(folder, name), { force: true });
  }
  return { ...upload, parts };
}

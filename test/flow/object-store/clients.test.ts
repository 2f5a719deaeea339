import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  type CompletedPart,
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketAclCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUCKET, type RunningStore, bytesFiles, outcome, sign, startStore } from "./start-store.ts";

let running: RunningStore;
beforeAll(async () => {
  running = await startStore();
});
afterAll(() => running.remove());

const at = (Key: string) => ({ Bucket: BUCKET, Key });
const md5 = (bytes: string | Buffer) => createHash("md5").update(bytes).digest("hex");

describe("the AWS SDK", () => {
  test("creates a bucket once", async () => {
    const { client } = running;
    await client.send(new CreateBucketCommand({ Bucket: "another-bucket" }));
    await client.send(new HeadBucketCommand({ Bucket: "another-bucket" }));
    await expect(
      client.send(new CreateBucketCommand({ Bucket: "another-bucket" })),
    ).rejects.toMatchObject({ name: "BucketAlreadyOwnedByYou" });
    await expect(
      client.send(new PutObjectCommand({ Bucket: "no-such-bucket", Key: "a", Body: "a" })),
    ).rejects.toMatchObject({ name: "NoSuchBucket" });
  });

  test("gets back what it put, with everything it said of it", async () => {
    const { client } = running;
    const key = "odd keys/ü + (1)*'!&=?#%.txt";
    const put = await client.send(
      new PutObjectCommand({
        ...at(key),
        Body: "hello",
        ContentType: "text/plain",
        CacheControl: "max-age=60",
        Metadata: { Tenant: "t1" },
        Tagging: "keep=true&use_case=a%20b",
        ChecksumSHA256: createHash("sha256").update("hello").digest("base64"),
      }),
    );
    expect(put.ETag).toBe(`"${md5("hello")}"`);
    expect(put.$metadata.requestId).toMatch(/^[0-9A-F]{16}$/);
    const got = await client.send(new GetObjectCommand({ ...at(key), ChecksumMode: "ENABLED" }));
    expect(await got.Body?.transformToString()).toBe("hello");
    expect(got).toMatchObject({
      ContentType: "text/plain",
      ContentLength: 5,
      CacheControl: "max-age=60",
      Metadata: { tenant: "t1" },
      TagCount: 2,
      ETag: put.ETag,
      ChecksumSHA256: createHash("sha256").update("hello").digest("base64"),
    });
    expect(got.ReplicationStatus).toBeUndefined();
    expect(await client.send(new GetObjectTaggingCommand(at(key)))).toMatchObject({
      TagSet: [
        { Key: "keep", Value: "true" },
        { Key: "use_case", Value: "a b" },
      ],
    });
  });

  test("streams a body with a crc32 trailer, and finds no trace of its framing", async () => {
    const { client } = running;
    const bytes = randomBytes(700_000);
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 300_001), bytes.subarray(300_001)];
    await client.send(
      new PutObjectCommand({
        ...at("streamed"),
        Body: Readable.from(pieces, { objectMode: false }),
        ContentLength: bytes.length,
      }),
    );
    const got = await client.send(new GetObjectCommand(at("streamed")));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(bytes)).toBe(true);
    expect(got.ContentEncoding).toBeUndefined();
    expect(got.ETag).toBe(`"${md5(bytes)}"`);
  });

  test("reads ranges, and hears of one that is not there", async () => {
    const { client } = running;
    await client.send(new PutObjectCommand({ ...at("ten"), Body: "0123456789" }));
    const read = async (Range: string) => {
      const got = await client.send(new GetObjectCommand({ ...at("ten"), Range }));
      return [await got.Body?.transformToString(), got.ContentRange];
    };
    expect(await read("bytes=2-4")).toEqual(["234", "bytes 2-4/10"]);
    expect(await read("bytes=7-")).toEqual(["789", "bytes 7-9/10"]);
    expect(await read("bytes=-3")).toEqual(["789", "bytes 7-9/10"]);
    expect(await read("bytes=8-99")).toEqual(["89", "bytes 8-9/10"]);
    expect(await read("bytes=0-1,3-4")).toEqual(["0123456789", undefined]);
    const { url } = await sign(running, { key: "ten" });
    const beyond = await fetch(url, { headers: { range: "bytes=10-" } });
    expect(beyond.headers.get("content-range")).toBe("bytes */10");
    expect(await outcome(beyond)).toEqual([416, "InvalidRange"]);
  });

  test("writes and reads on conditions", async () => {
    const { client } = running;
    const create = (Body: string) =>
      client.send(new PutObjectCommand({ ...at("once"), Body, IfNoneMatch: "*" }));
    const created = await Promise.allSettled([create("one"), create("two"), create("three")]);
    expect(created.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(created.find(({ status }) => status === "rejected")).toMatchObject({
      reason: { name: "PreconditionFailed" },
    });
    const { ETag } = await client.send(new HeadObjectCommand(at("once")));
    await expect(
      client.send(new GetObjectCommand({ ...at("once"), IfNoneMatch: ETag })),
    ).rejects.toMatchObject({ $metadata: { httpStatusCode: 304 } });
    await expect(
      client.send(new GetObjectCommand({ ...at("once"), IfMatch: '"other"' })),
    ).rejects.toMatchObject({ name: "PreconditionFailed" });
    const replace = (Body: string) =>
      client.send(new PutObjectCommand({ ...at("once"), Body, IfMatch: ETag }));
    const replaced = await Promise.allSettled([replace("four"), replace("five"), replace("six")]);
    expect(replaced.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(replaced.find(({ status }) => status === "rejected")).toMatchObject({
      reason: { name: "PreconditionFailed" },
    });
    await expect(
      client.send(new PutObjectCommand({ ...at("never"), Body: "", IfMatch: ETag })),
    ).rejects.toMatchObject({ name: "NoSuchKey" });
  });

  test("copies, with the source's metadata or with its own", async () => {
    const { client } = running;
    await client.send(
      new PutObjectCommand({ ...at("from/ü 1"), Body: "copy me", Metadata: { a: "1" } }),
    );
    const CopySource = `${BUCKET}/${encodeURIComponent("from/ü 1")}`;
    await client.send(new CopyObjectCommand({ ...at("to"), CopySource }));
    await client.send(
      new CopyObjectCommand({
        ...at("to2"),
        CopySource,
        MetadataDirective: "REPLACE",
        Metadata: { b: "2" },
      }),
    );
    await client.send(new DeleteObjectCommand(at("from/ü 1")));
    await expect(client.send(new GetObjectCommand(at("from/ü 1")))).rejects.toMatchObject({
      name: "NoSuchKey",
    });
    const copied = await client.send(new GetObjectCommand(at("to")));
    expect(await copied.Body?.transformToString()).toBe("copy me");
    expect(copied.Metadata).toEqual({ a: "1" });
    const { Metadata } = await client.send(new HeadObjectCommand(at("to2")));
    expect(Metadata).toEqual({ b: "2" });
  });

  test("lists by prefix, delimiter and page, in the order of bytes", async () => {
    const { client } = running;
    const keys = ["l/a", "l/b/1", "l/b/2", "l/b0", "l/c/1", "l/é", "l/\u{ffe0}", "l/\u{1f600}"];
    for (const key of keys.toReversed()) {
      await client.send(new PutObjectCommand({ ...at(key), Body: key }));
    }
    const seen: (string | undefined)[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: BUCKET,
          Prefix: "l/",
          Delimiter: "/",
          MaxKeys: 2,
          ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
        }),
      );
      seen.push(...(page.Contents ?? []).map(({ Key }) => Key));
      seen.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(seen).toEqual(["l/a", "l/b/", "l/b0", "l/c/", "l/é", "l/\u{ffe0}", "l/\u{1f600}"]);
    const flat = await client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: "l/" }));
    expect(flat.Contents?.map(({ Key }) => Key)).toEqual(keys);
    expect(flat.Contents?.[0]).toMatchObject({ Size: 3, ETag: `"${md5("l/a")}"` });
  });

  test("uploads in parts, and may ask twice for the end", async () => {
    const { client } = running;
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ ...at("big"), ContentType: "audio/wav" }),
    );
    const bodies = [randomBytes(5 * 1024 * 1024), Buffer.from("the end")];
    const Parts: Pick<CompletedPart, "PartNumber" | "ETag" | "ChecksumCRC32">[] = [];
    for (const [position, Body] of bodies.entries()) {
      const PartNumber = position + 1;
      const part = await client.send(
        new UploadPartCommand({ ...at("big"), UploadId, PartNumber, Body }),
      );
      Parts.push({ PartNumber, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32 });
    }
    const complete = (parts: typeof Parts) =>
      client.send(
        new CompleteMultipartUploadCommand({
          ...at("big"),
          UploadId,
          MultipartUpload: { Parts: parts },
        }),
      );
    await expect(complete(Parts.toReversed())).rejects.toMatchObject({ name: "InvalidPartOrder" });
    await expect(
      complete([{ PartNumber: 1, ETag: '"0"', ChecksumCRC32: undefined }]),
    ).rejects.toMatchObject({ name: "InvalidPart" });
    const first = await complete(Parts);
    expect(await complete(Parts)).toMatchObject({ ETag: first.ETag });
    const digests = Buffer.concat(bodies.map((body) => Buffer.from(md5(body), "hex")));
    expect(first.ETag).toBe(`"${md5(digests)}-2"`);
    const got = await client.send(new GetObjectCommand(at("big")));
    const bytes = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
    expect(bytes.equals(Buffer.concat(bodies))).toBe(true);
    expect(got.ContentType).toBe("audio/wav");
  });

  test("leaves nothing of an upload that it aborts", async () => {
    const { client, data } = running;
    const before = await bytesFiles(data);
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(at("given-up")));
    const part = { ...at("given-up"), UploadId, PartNumber: 1, Body: "part" };
    await client.send(new UploadPartCommand(part));
    await client.send(new AbortMultipartUploadCommand({ ...at("given-up"), UploadId }));
    await expect(client.send(new UploadPartCommand(part))).rejects.toMatchObject({
      name: "NoSuchUpload",
    });
    expect(await bytesFiles(data)).toEqual(before);
  });

  test("changes tags, and is told of what is not implemented", async () => {
    const { client } = running;
    await client.send(new PutObjectCommand({ ...at("tagged"), Body: "x", Tagging: "a=1" }));
    const TagSet = [{ Key: "b", Value: "<&>" }];
    await client.send(new PutObjectTaggingCommand({ ...at("tagged"), Tagging: { TagSet } }));
    expect(await client.send(new GetObjectTaggingCommand(at("tagged")))).toMatchObject({ TagSet });
    await client.send(new PutObjectTaggingCommand({ ...at("tagged"), Tagging: { TagSet: [] } }));
    expect(await client.send(new GetObjectTaggingCommand(at("tagged")))).toMatchObject({
      TagSet: [],
    });
    // Must not pass for a read of the object, or of the list.
    const bucketAcl = client.send(new GetBucketAclCommand({ Bucket: BUCKET }));
    const objectAcl = client.send(new GetObjectAclCommand(at("tagged")));
    for (const answer of await Promise.allSettled([bucketAcl, objectAcl])) {
      expect(answer).toMatchObject({
        reason: { name: "NotImplemented", $metadata: { httpStatusCode: 501 } },
      });
    }
  });
});

test("a browser may PUT to a presigned URL and read the answer's ETag", async () => {
  const { url } = await sign(running, { method: "PUT", key: "from-browser" });
  const origin = "https://app.example";
  const preflight = await fetch(url, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "PUT",
      "access-control-request-headers": "content-type,x-amz-checksum-sha256",
    },
  });
  expect(preflight.status).toBe(200);
  expect(preflight.headers.get("access-control-allow-methods")).toContain("PUT");
  expect(preflight.headers.get("access-control-allow-headers")).toContain("x-amz-checksum-sha256");
  const put = await fetch(url, { method: "PUT", body: "x", headers: { origin } });
  expect(put.status).toBe(200);
  expect(put.headers.get("access-control-allow-origin")).toBe("*");
  expect(put.headers.get("access-control-expose-headers")).toContain("ETag");
});

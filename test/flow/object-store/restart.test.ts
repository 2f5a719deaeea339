import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  CreateMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterEach, expect, test } from "vitest";
import { BUCKET, CREDENTIALS, REGION, bytesFiles, startStore } from "./start-store.ts";

const ENTRY = fileURLToPath(
  new URL("../../../scripts/planet/object-store/serve-object-store.ts", import.meta.url),
);
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
});

async function serve(data: string): Promise<{ child: ChildProcess; client: S3Client }> {
  const child = spawn(process.execPath, [ENTRY], {
    env: {
      PORT: "0",
      DATA_DIR: data,
      REGION,
      BUCKET,
      ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  cleanups.push(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { port } = JSON.parse(line) as { port?: number };
    if (port === undefined) continue;
    const client = new S3Client({
      endpoint: `http://127.0.0.1:${port}`,
      region: REGION,
      credentials: CREDENTIALS,
      forcePathStyle: true,
      maxAttempts: 1,
    });
    cleanups.push(async () => client.destroy());
    return { child, client };
  }
  throw new Error("The object store ended before it listened.");
}

test("what was acknowledged is there after SIGKILL, and SIGTERM stops cleanly", async () => {
  const data = await mkdtemp(join(tmpdir(), "object-store-"));
  cleanups.push(() => rm(data, { recursive: true, force: true }));
  const first = await serve(data);
  const object = { Bucket: BUCKET, Key: "kept/a.txt" };
  await first.client.send(new PutObjectCommand({ ...object, Body: "kept", Metadata: { a: "1" } }));
  first.child.kill("SIGKILL");
  await once(first.child, "exit");

  const second = await serve(data);
  const got = await second.client.send(new GetObjectCommand(object));
  expect(await got.Body?.transformToString()).toBe("kept");
  expect(got.Metadata).toEqual({ a: "1" });
  const list = await second.client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
  expect(list.Contents?.map(({ Key }) => Key)).toEqual(["kept/a.txt"]);
  second.child.kill("SIGTERM");
  expect(await once(second.child, "exit")).toEqual([0, null]);
});

test("a multipart upload goes on after a restart, and replaced bytes are gone", async () => {
  const first = await startStore();
  cleanups.push(() => first.remove());
  const object = { Bucket: BUCKET, Key: "parts" };
  await first.client.send(new PutObjectCommand({ ...object, Body: "before" }));
  const { UploadId } = await first.client.send(new CreateMultipartUploadCommand(object));
  const part = { ...object, UploadId, PartNumber: 1 };
  const { ETag } = await first.client.send(new UploadPartCommand({ ...part, Body: "after" }));
  await first.stop();

  const second = await startStore({ dataDir: first.data });
  cleanups.push(() => second.stop());
  await second.client.send(
    new CompleteMultipartUploadCommand({
      ...object,
      UploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
    }),
  );
  const got = await second.client.send(new GetObjectCommand(object));
  expect(await got.Body?.transformToString()).toBe("after");
  expect(await bytesFiles(second.data)).toHaveLength(1);
});

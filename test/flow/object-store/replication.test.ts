import {
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
} from "@aws-sdk/client-s3";
import { afterEach, expect, test } from "vitest";
import { freePort } from "../../../scripts/planet/ports.ts";
import { BUCKET, type RunningStore, startStore } from "./start-store.ts";

const EU = "eu-west-1";
const started: RunningStore[] = [];
afterEach(async () => {
  for (const store of started.splice(0)) await store.remove();
});

async function start(...args: Parameters<typeof startStore>) {
  const store = await startStore(...args);
  started.push(store);
  return store;
}

function towardsEu(port: number) {
  return {
    peers: [{ region: EU, endpoint: `http://127.0.0.1:${port}`, bucket: BUCKET }],
    replication: [
      { prefix: "global/", destinations: [EU], deletes: true },
      { prefix: "global/bound-us/", destinations: [] },
      { prefix: "kept/", destinations: [EU] },
    ],
    replicationDelayMs: 10,
    maxRetryMs: 50,
  };
}

const at = (Key: string) => ({ Bucket: BUCKET, Key });
const put = ({ client }: RunningStore, key: string, Body = key) =>
  client.send(new PutObjectCommand({ ...at(key), Body }));
const remove = ({ client }: RunningStore, key: string) =>
  client.send(new DeleteObjectCommand(at(key)));
const read = async ({ client }: RunningStore, key: string) => {
  try {
    const got = await client.send(new GetObjectCommand(at(key)));
    return await got.Body?.transformToString();
  } catch {
    return undefined;
  }
};
const status = async ({ client }: RunningStore, key: string) =>
  (await client.send(new HeadObjectCommand(at(key)))).ReplicationStatus;
const settled = ({ store }: RunningStore) => expect.poll(() => store.pendingReplication()).toBe(0);

test("an object reaches the peer with all that was said of it, and goes no further", async () => {
  const port = await freePort();
  const us = await start(towardsEu(port));
  // The peer would send it back, if it took the copy for a write of its own.
  const eu = await start({
    port,
    region: EU,
    peers: [{ region: "us-east-1", endpoint: us.endpoint, bucket: BUCKET }],
    replication: [{ prefix: "", destinations: ["us-east-1"] }],
    replicationDelayMs: 0,
  });
  const key = "global/ü + 1/a.txt";
  const written = await us.client.send(
    new PutObjectCommand({
      ...at(key),
      Body: "hello",
      ContentType: "text/plain",
      CacheControl: "no-cache",
      Metadata: { a: "1" },
      Tagging: "keep=true",
    }),
  );
  await settled(us);
  expect(await status(us, key)).toBe("COMPLETED");
  const copy = await eu.client.send(new GetObjectCommand(at(key)));
  expect(await copy.Body?.transformToString()).toBe("hello");
  const { LastModified } = await us.client.send(new HeadObjectCommand(at(key)));
  expect(copy).toMatchObject({
    ContentType: "text/plain",
    CacheControl: "no-cache",
    Metadata: { a: "1" },
    ReplicationStatus: "REPLICA",
    ETag: written.ETag,
    LastModified,
  });
  expect(eu.store.pendingReplication()).toBe(0);

  const TagSet = [{ Key: "keep", Value: "false" }];
  await us.client.send(new PutObjectTaggingCommand({ ...at(key), Tagging: { TagSet } }));
  await settled(us);
  expect(await eu.client.send(new GetObjectTaggingCommand(at(key)))).toMatchObject({ TagSet });
});

test("what no rule covers, or an exception holds back, never leaves", async () => {
  const eu = await start({ region: EU });
  const us = await start(towardsEu(eu.port));
  await put(us, "bound/a");
  await put(us, "global/bound-us/a");
  await put(us, "global/a");
  await settled(us);
  expect(await read(eu, "global/a")).toBe("global/a");
  expect(await read(eu, "bound/a")).toBeUndefined();
  expect(await read(eu, "global/bound-us/a")).toBeUndefined();
  expect(await status(us, "bound/a")).toBeUndefined();
});

test("what was written while the peer was away arrives when it is back, newest state only", async () => {
  const port = await freePort();
  const us = await start(towardsEu(port));
  await put(us, "global/a", "old");
  await put(us, "global/a", "new");
  await put(us, "global/gone");
  await remove(us, "global/gone");
  await put(us, "global/b");
  expect(await status(us, "global/a")).toBe("PENDING");
  const eu = await start({ port, region: EU });
  await settled(us);
  expect(await read(eu, "global/a")).toBe("new");
  expect(await read(eu, "global/b")).toBe("global/b");
  expect(await read(eu, "global/gone")).toBeUndefined();
});

test("a restart resumes what was pending, and keeps what rules forbid by then", async () => {
  const port = await freePort();
  const us = await start(towardsEu(port));
  await put(us, "global/a");
  await put(us, "kept/a");
  await remove(us, "global/deleted-before");
  await us.stop();
  const eu = await start({ port, region: EU });
  await put(eu, "global/deleted-before");
  const rules = towardsEu(port);
  const again = await start({
    ...rules,
    dataDir: us.data,
    replication: rules.replication.filter(({ prefix }) => prefix !== "kept/"),
  });
  expect(again.store.pendingReplication()).toBe(3);
  await settled(again);
  expect(await read(eu, "global/a")).toBe("global/a");
  expect(await read(eu, "kept/a")).toBeUndefined();
  expect(await status(again, "kept/a")).toBeUndefined();
  // Written at the peer after the delete here: the newer write stays.
  expect(await read(eu, "global/deleted-before")).toBe("global/deleted-before");
});

test("deletes follow only where the rule says so", async () => {
  const eu = await start({ region: EU });
  const us = await start(towardsEu(eu.port));
  await put(us, "global/a");
  await put(us, "kept/a");
  await settled(us);
  await remove(us, "kept/a");
  await remove(us, "global/a");
  await settled(us);
  expect(await read(eu, "global/a")).toBeUndefined();
  expect(await read(eu, "kept/a")).toBe("kept/a");
});

test("an older copy does not replace what the peer wrote later", async () => {
  const port = await freePort();
  const us = await start(towardsEu(port));
  await put(us, "global/a", "from us");
  const eu = await start({ port, region: EU, now: () => Date.now() + 1000 });
  await put(eu, "global/a", "from eu, later");
  await settled(us);
  expect(await read(eu, "global/a")).toBe("from eu, later");
});

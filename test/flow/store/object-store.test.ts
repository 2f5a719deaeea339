import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createObjectStore } from "../../../regions/store/object-store.ts";
import type { ObjectStore } from "../../../regions/store/object-store-port.ts";
import { BUCKET, CREDENTIALS, startStore, type RunningStore } from "../object-store/start-store.ts";

let running: RunningStore;
let objects: ObjectStore;

const connect = (endpoint: string, secretAccessKey = CREDENTIALS.secretAccessKey) =>
  createObjectStore({
    region: "us-east",
    bucket: BUCKET,
    endpoint,
    ...CREDENTIALS,
    secretAccessKey,
    maxAttempts: 1,
    connectTimeoutMs: 20_000,
  });

beforeAll(async () => {
  running = await startStore();
  objects = connect(running.endpoint);
});
afterAll(async () => {
  objects?.close();
  await running?.remove();
});

test("what is put can be looked at, read and listed, as text and as a stream", async () => {
  await objects.put("results/a.json", "{}", { contentType: "application/json" });
  const bytes = Buffer.from("some audio");
  await objects.put("audio/b", Readable.from([bytes]), {
    contentType: "audio/wav",
    bytes: bytes.length,
  });
  expect(await objects.head("audio/b")).toMatchObject({ bytes: 10, contentType: "audio/wav" });
  const found = await objects.get("audio/b");
  expect(await text(found!.body)).toBe("some audio");
  expect(await objects.getText("results/a.json", 10)).toBe("{}");
  await expect(objects.getText("audio/b", 9)).rejects.toThrow(RangeError);
  expect(await objects.list("", 10)).toEqual(["audio/b", "results/a.json"]);
  expect(await objects.list("", 1)).toEqual(["audio/b"]);
  expect(await objects.isReachable()).toBe(true);
});

test("a copy keeps its content type, whatever the key looks like", async () => {
  const from = "uploads/ü +&?#%/x!'()*~";
  await objects.put(from, "abc", { contentType: "audio/ogg" });
  expect(await objects.head(from)).toMatchObject({ bytes: 3, contentType: "audio/ogg" });
  expect(await objects.copy(from, "audio/c.ogg")).toBe(true);
  expect(await objects.head("audio/c.ogg")).toMatchObject({ bytes: 3, contentType: "audio/ogg" });
});

test("what is not there is no error", async () => {
  expect(await objects.head("nothing")).toBeUndefined();
  expect(await objects.get("nothing")).toBeUndefined();
  expect(await objects.getText("nothing", 10)).toBeUndefined();
  expect(await objects.copy("nothing", "something")).toBe(false);
  await objects.delete("nothing");
  expect(await objects.head("something")).toBeUndefined();
});

test("a copy is not made of an object that was replaced since it was read", async () => {
  await objects.put("uploads/d", "read", { contentType: "audio/wav" });
  const read = await objects.head("uploads/d");
  await objects.put("uploads/d", "replaced", { contentType: "audio/wav" });
  const copied = objects.copy("uploads/d", "audio/d.wav", { ifMatch: read!.etag! });
  await expect(copied).rejects.toThrow();
  expect(await objects.head("audio/d.wav")).toBeUndefined();
  const now = await objects.head("uploads/d");
  expect(await objects.copy("uploads/d", "audio/d.wav", { ifMatch: now!.etag! })).toBe(true);
});

test("an object is written over only as long as it is the one that was read", async () => {
  const options = { contentType: "text/plain" };
  await objects.put("texts/e", "one", options);
  const { etag: ifMatch } = (await objects.head("texts/e"))!;
  expect(await objects.replace("texts/e", "two", { ...options, ifMatch: ifMatch! })).toBe(true);
  expect(await objects.replace("texts/e", "three", { ...options, ifMatch: ifMatch! })).toBe(false);
  expect(await objects.getText("texts/e", 10)).toBe("two");
  await objects.delete("texts/e");
  expect(await objects.replace("texts/e", "four", { ...options, ifMatch: ifMatch! })).toBe(false);
  expect(await objects.head("texts/e")).toBeUndefined();
});

test("a store that stumbles over one HEAD is asked again, and its second answer counts", async () => {
  const answers = [503, 200];
  const server = createServer((_, response) => {
    response.writeHead(answers.shift() ?? 404, { "content-length": 7 }).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const store = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    expect(await store.head("a")).toMatchObject({ bytes: 7 });
    expect(answers).toEqual([]);
  } finally {
    store.close();
    server.close();
  }
});

test("a store that is away, or refuses us, is unavailable; a caller's own abort is not", async () => {
  const [away, refused] = [connect("http://127.0.0.1:9"), connect(running.endpoint, "wrong")];
  try {
    for (const store of [away, refused]) {
      await expect(store.head("a")).rejects.toMatchObject({ code: "dependency_unavailable" });
      await expect(store.isReachable()).rejects.toBeDefined();
    }
    await expect(
      objects.get("a", { signal: AbortSignal.abort(new Error("enough")) }),
    ).rejects.toThrow("enough");
  } finally {
    away.close();
    refused.close();
  }
});

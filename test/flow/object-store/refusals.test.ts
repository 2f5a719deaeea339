import { createHash } from "node:crypto";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { crc32 } from "node:zlib";
import { HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  BUCKET,
  type RunningStore,
  type SignOptions,
  bytesFiles,
  outcome,
  sign,
  startStore,
} from "./start-store.ts";

const BODY = "five bytes and some more";
const SHA256 = createHash("sha256").update(BODY).digest("base64");
const SIGNED = {
  "content-length": String(BODY.length),
  "content-type": "audio/wav",
  "x-amz-checksum-sha256": SHA256,
};

let running: RunningStore;
beforeAll(async () => {
  running = await startStore({ maxObjectBytes: 1_000_000 });
  await running.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: "a.txt", Body: "a" }));
});
afterAll(() => running.remove());

async function exists(key: string): Promise<boolean> {
  const head = new HeadObjectCommand({ Bucket: BUCKET, Key: key });
  return running.client.send(head).then(
    () => true,
    () => false,
  );
}

/** fetch sets content-length itself, so a wrong one needs a plain request. */
function put(url: string, headers: Record<string, string>, body: string) {
  return new Promise<[number, string]>((resolve, reject) => {
    const outgoing = httpRequest(url, { method: "PUT", headers, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => parts.push(part));
      answer.on("error", reject);
      answer.on("end", () => {
        const text = Buffer.concat(parts).toString();
        resolve([answer.statusCode ?? 0, /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? ""]);
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Sends bytes as they are, then ends the connection if told to; gives all that comes back. */
function speak(text: string, hangUp: boolean) {
  return new Promise<string>((resolve, reject) => {
    const socket = connect(running.port, "127.0.0.1");
    let heard = "";
    socket.on("data", (data) => (heard += data.toString("latin1")));
    socket.on("close", () => resolve(heard));
    socket.on("error", reject);
    socket.write(text, "latin1");
    if (hangUp) socket.end();
  });
}

describe("a presigned PUT", () => {
  const presign = (options: SignOptions = {}) =>
    sign(running, { method: "PUT", key: "upload.wav", headers: SIGNED, ...options });

  test("with the length, type and checksum that were signed is stored", async () => {
    const { url } = await presign();
    expect(await put(url, SIGNED, BODY)).toEqual([200, ""]);
    const got = await fetch((await sign(running, { key: "upload.wav" })).url);
    expect(await got.text()).toBe(BODY);
    expect(got.headers.get("content-type")).toBe("audio/wav");
  });

  test.each([
    ["another length", { "content-length": String(BODY.length + 1) }, `${BODY}!`],
    ["another type", { "content-type": "text/html" }, BODY],
    ["another checksum", { "x-amz-checksum-sha256": `${SHA256.slice(0, -2)}A=` }, BODY],
  ])("with %s than was signed is refused", async (_, change, body) => {
    const { url } = await presign({ key: "other.wav" });
    expect(await put(url, { ...SIGNED, ...change }, body)).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await exists("other.wav")).toBe(false);
  });

  test("without a header that was signed is refused", async () => {
    const { url } = await presign({ key: "other.wav" });
    const { "x-amz-checksum-sha256": _, ...rest } = SIGNED;
    expect(await put(url, rest, BODY)).toEqual([403, "SignatureDoesNotMatch"]);
  });

  test("with an x-amz header that was not signed is refused", async () => {
    const { url } = await presign({ key: "other.wav" });
    const headers = { ...SIGNED, "x-amz-tagging": "keep=true" };
    expect(await put(url, headers, BODY)).toEqual([403, "AccessDenied"]);
    expect(await exists("other.wav")).toBe(false);
  });

  test("with other bytes of the same length is refused, and leaves nothing", async () => {
    const { url } = await presign({ key: "other.wav" });
    const before = await bytesFiles(running.data);
    expect(await put(url, SIGNED, BODY.toUpperCase())).toEqual([400, "BadDigest"]);
    expect(await exists("other.wav")).toBe(false);
    expect(await bytesFiles(running.data)).toEqual(before);
  });

  test("whose body breaks off leaves nothing", async () => {
    const { url } = await presign({ key: "broken.wav" });
    const before = await bytesFiles(running.data);
    const { pathname, search, host } = new URL(url);
    const lines = Object.entries({ host, ...SIGNED }).map(([name, value]) => `${name}: ${value}`);
    const half = BODY.slice(0, 10);
    const heard = await speak(
      `PUT ${pathname}${search} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${half}`,
      true,
    );
    expect(heard).not.toContain("200 OK");
    await expect.poll(() => bytesFiles(running.data)).toEqual(before);
    expect(await exists("broken.wav")).toBe(false);
  });

  test("cannot be used for another key, method or query", async () => {
    const { url } = await presign();
    expect(await put(url.replace("upload.wav", "stolen.wav"), SIGNED, BODY)).toEqual([
      403,
      "SignatureDoesNotMatch",
    ]);
    expect(await outcome(await fetch(url, { method: "DELETE" }))).toEqual([
      403,
      "SignatureDoesNotMatch",
    ]);
    expect(await put(`${url}&tagging=`, SIGNED, BODY)).toEqual([403, "SignatureDoesNotMatch"]);
  });
});

describe("a presigned GET", () => {
  const get = async (options: SignOptions, change = (url: string) => url) =>
    outcome(await fetch(change((await sign(running, options)).url)));

  test("as signed is answered", async () => {
    expect(await get({})).toEqual([200, ""]);
  });

  test("with a signature that was touched is refused", async () => {
    const flip = (url: string) =>
      url.replace(/(X-Amz-Signature=)(.)/, (_, name: string, digit: string) => {
        return name + (digit === "0" ? "1" : "0");
      });
    expect(await get({}, flip)).toEqual([403, "SignatureDoesNotMatch"]);
    const cut = (url: string) => url.replace(/(X-Amz-Signature=)\w+/, "$1");
    expect(await get({}, cut)).toEqual([400, "AuthorizationQueryParametersError"]);
  });

  test("is refused after its time, and when the time was stretched", async () => {
    expect(await get({ age: 59, query: { "X-Amz-Expires": "120" } })).toEqual([200, ""]);
    const { url } = await sign(running, { age: 61, query: { "X-Amz-Expires": "60" } });
    const answer = await fetch(url);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("<Message>Request has expired</Message>");
    expect(
      await get({ age: 61, query: { "X-Amz-Expires": "60" } }, (late) =>
        late.replace("Expires=60", "Expires=600"),
      ),
    ).toEqual([403, "SignatureDoesNotMatch"]);
  });

  test("cannot be good for more than a week, or from the future", async () => {
    expect(await get({ query: { "X-Amz-Expires": "604800" } })).toEqual([200, ""]);
    expect(await get({ query: { "X-Amz-Expires": "604801" } })).toEqual([
      400,
      "AuthorizationQueryParametersError",
    ]);
    expect(await get({ age: -16 * 60 })).toEqual([403, "AccessDenied"]);
  });

  test("by an unknown key, a wrong secret or for another region is refused", async () => {
    expect(await get({ accessKeyId: "AKNOBODY" })).toEqual([403, "InvalidAccessKeyId"]);
    expect(await get({ secretAccessKey: "another" })).toEqual([403, "SignatureDoesNotMatch"]);
    const { url } = await sign({ ...running, region: "eu-west-1" }, {});
    expect(await outcome(await fetch(url))).toEqual([400, "AuthorizationQueryParametersError"]);
  });

  test("whose host is not signed, or is another, is refused", async () => {
    expect(
      await get({}, (url) => url.replace("SignedHeaders=host", "SignedHeaders=range")),
    ).toEqual([403, "AccessDenied"]);
    expect(await get({}, (url) => url.replace("127.0.0.1", "localhost"))).toEqual([
      403,
      "SignatureDoesNotMatch",
    ]);
  });
});

describe("a header-signed request", () => {
  const send = async (options: SignOptions, body = options.body) => {
    const { url, headers } = await sign(running, options, "header");
    return outcome(
      await fetch(url, { method: options.method ?? "GET", headers, body: body ?? null }),
    );
  };
  const hash = (text: string) => ({
    "x-amz-content-sha256": createHash("sha256").update(text).digest("hex"),
  });

  test("is refused when it is 15 minutes off", async () => {
    expect(await send({ age: 14 * 60 })).toEqual([200, ""]);
    expect(await send({ age: 16 * 60 })).toEqual([403, "RequestTimeTooSkewed"]);
    expect(await send({ age: -16 * 60 })).toEqual([403, "RequestTimeTooSkewed"]);
  });

  test("with another body than was hashed is refused, and leaves nothing", async () => {
    const options = { method: "PUT", key: "hashed", headers: hash("body") };
    const before = await bytesFiles(running.data);
    expect(await send(options, "BODY")).toEqual([400, "XAmzContentSHA256Mismatch"]);
    expect(await exists("hashed")).toBe(false);
    expect(await bytesFiles(running.data)).toEqual(before);
    expect(await send(options, "body")).toEqual([200, ""]);
  });

  test("with a wrong secret is refused", async () => {
    expect(await send({ secretAccessKey: "another" })).toEqual([403, "SignatureDoesNotMatch"]);
  });

  test("with a body over the limit is refused", async () => {
    const body = "x".repeat(1_000_001);
    expect(await send({ method: "PUT", key: "large", headers: hash(body) }, body)).toEqual([
      400,
      "EntityTooLarge",
    ]);
    expect(await exists("large")).toBe(false);
  });

  test("with an aws-chunked body is held to its trailer and its length", async () => {
    const sum = (text: string) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(crc32(text));
      return bytes.toString("base64");
    };
    const chunked = (key: string, body: string, length = 8) =>
      send(
        {
          method: "PUT",
          key,
          headers: {
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": String(length),
            "x-amz-trailer": "x-amz-checksum-crc32",
            "content-encoding": "aws-chunked",
          },
        },
        body,
      );
    const end = (crc: string) => `0\r\nx-amz-checksum-crc32:${crc}\r\n\r\n`;
    const whole = `4\r\nfour\r\n4\r\nmore\r\n`;
    const before = await bytesFiles(running.data);
    expect(await chunked("c", whole + end(sum("fourMORE")))).toEqual([400, "BadDigest"]);
    expect(await chunked("c", `${whole}0\r\n\r\n`)).toEqual([400, "MalformedTrailerError"]);
    expect(await chunked("c", whole)).toEqual([400, "IncompleteBody"]);
    expect(await chunked("c", whole + end(sum("fourmore")), 9)).toEqual([400, "IncompleteBody"]);
    expect(await exists("c")).toBe(false);
    expect(await bytesFiles(running.data)).toEqual(before);
    expect(await chunked("c", whole + end(sum("fourmore")))).toEqual([200, ""]);
  });
});

test("a client that is refused in the middle of a large upload hears why", async () => {
  const body = "x".repeat(16_000_000);
  const headers = { "content-length": String(body.length) };
  const { url } = await sign(running, { method: "PUT", key: "large", headers });
  expect(await put(url, headers, body)).toEqual([400, "EntityTooLarge"]);
  expect(await put(url.replace("large", "other"), headers, body)).toEqual([
    403,
    "SignatureDoesNotMatch",
  ]);
});

test("an anonymous read or write is refused", async () => {
  const url = `${running.endpoint}/${BUCKET}/a.txt`;
  expect(await outcome(await fetch(url))).toEqual([403, "AccessDenied"]);
  expect(await outcome(await fetch(url, { method: "PUT", body: "x" }))).toEqual([
    403,
    "AccessDenied",
  ]);
  const list = `${running.endpoint}/${BUCKET}?list-type=2`;
  expect(await outcome(await fetch(list))).toEqual([403, "AccessDenied"]);
  const healthz = await fetch(`${running.endpoint}/-/healthz`);
  expect(await healthz.json()).toMatchObject({ status: "ok" });
});

test("a key cannot name a path outside the store", async () => {
  for (const target of [`/${BUCKET}/../../escape`, `/${BUCKET}/%2e%2e/escape`, "/../escape"]) {
    const heard = await speak(
      `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
      false,
    );
    expect(heard).toMatch(/<Code>(InvalidURI|InvalidBucketName)<\/Code>/);
  }
});

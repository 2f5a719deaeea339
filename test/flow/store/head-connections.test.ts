import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import {
  createServer as createSecureServer,
  getCACertificates,
  setDefaultCACertificates,
} from "node:tls";
import { afterEach, expect, test } from "vitest";
import { createHeadConnections } from "../../../regions/store/head-connections.ts";

const fixture = (name: string) =>
  readFile(new URL(`../../fixtures/tls/${name}.pem`, import.meta.url), "utf8");
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A server that hands each request, by the name it asks for, to `answer`. */
async function serve(
  answer: (name: string, socket: Socket) => void,
  server: Server = createServer(),
  event = "connection",
) {
  const sockets = new Set<Socket>();
  /** Of each connection, what it was asked, by chunks. */
  const heard: string[][][] = [];
  server.on(event, (socket: Socket) => {
    const chunks: string[][] = [];
    heard.push(chunks);
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      const names = [...chunk.toString().matchAll(/^HEAD \/(\w+)/gm)].map(([, name]) => name!);
      chunks.push(names);
      for (const name of names) answer(name, socket);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, heard };
}

function open(port: number, options: { secure?: boolean; timeoutMs?: number; most?: number } = {}) {
  const defaults = { host: "127.0.0.1", secure: false, timeoutMs: 10_000, most: 2 };
  const connections = createHeadConnections({ ...defaults, port, ...options });
  closers.push(() => connections.close());
  return (name: string, signal?: AbortSignal) =>
    connections.send(`HEAD /${name} HTTP/1.1\r\nhost: x\r\n\r\n`, signal);
}
const found = (name: string, more = "") => `HTTP/1.1 200 OK\r\n${more}ETag: ${name}\r\n\r\n`;
const names = Array.from({ length: 20 }, (_, n) => `n${n}`);
type Ask = ReturnType<typeof open>;
const askAll = async (ask: Ask) =>
  Promise.all(names.map(async (name) => (await ask(name)).header("etag")));

test("each request gets its own answer, however the bytes are cut, over few connections", async () => {
  const { port, heard } = await serve((name, socket) => {
    const bytes = `HTTP/1.1 100 Continue\r\n\r\n${found(name, "Content-Length: 7\r\n")}`;
    for (let at = 0; at < bytes.length; at += 9) socket.write(bytes.slice(at, at + 9));
  });
  const ask = open(port);
  expect(await askAll(ask)).toEqual(names);
  expect(await askAll(ask)).toEqual(names);
  expect(heard).toHaveLength(2);
  const { status, header } = await ask("last");
  expect([status, header("content-length"), header("last-modified")]).toEqual([
    200,
    "7",
    undefined,
  ]);
});

test("no request is sent on a connection that still owes an answer, and connections are bounded", async () => {
  const held: [string, Socket][] = [];
  const { port, heard } = await serve((name, socket) => void held.push([name, socket]));
  const asked = askAll(open(port, { most: 3 }));
  for (let answered = 0; answered < names.length;) {
    const left = Math.min(3, names.length - answered);
    await expect.poll(() => held.length).toBe(left);
    expect(new Set(held.map(([, socket]) => socket)).size).toBe(left);
    for (const [name, socket] of held.splice(0).reverse()) socket.write(found(name));
    answered += left;
  }
  expect(await asked).toEqual(names);
  expect(heard).toHaveLength(3);
});

test("a server that keeps no connection is asked over others, and every request is answered", async () => {
  const { port, heard } = await serve((name, socket) =>
    socket.end(found(name, "Connection: close\r\n")),
  );
  expect(await askAll(open(port))).toEqual(names);
  expect(heard).toHaveLength(names.length);
});

test("a request that a kept connection ended on is sent once more, and then fails", async () => {
  let ends = false;
  const { port } = await serve((name, socket) => {
    if (ends || name === "bad") socket.destroy();
    else socket.write(found(name));
    if (name === "once") ends = false;
  });
  const ask = open(port);
  await ask("first");
  ends = true;
  expect((await ask("once")).header("etag")).toBe("once");
  await expect(ask("bad")).rejects.toThrow();
  expect((await ask("next")).header("etag")).toBe("next");
});

test("what comes behind an answer is nobody's answer", async () => {
  const { port, heard } = await serve((name, socket) =>
    socket.write(found(name) + (name === "long" ? "HTTP/1.1 200 OK\r\nETag: wr" : "")),
  );
  const ask = open(port, { most: 1 });
  expect((await ask("long")).header("etag")).toBe("long");
  expect((await ask("next")).header("etag")).toBe("next");
  expect(heard).toHaveLength(2);
});

test("what is no answer fails", async () => {
  const { port } = await serve((_, socket) => socket.write("<html>\r\n\r\n"));
  await expect(open(port)("one")).rejects.toThrow("no answer");
});

test("silence and an abort end the wait, and later requests get their own answers", async () => {
  const silent = Promise.withResolvers<Socket>();
  const { port } = await serve((name, socket) => {
    if (name === "silent") silent.resolve(socket);
    else if (name !== "never") socket.write(found(name));
  });
  await expect(open(port, { timeoutMs: 100 })("never")).rejects.toThrow("no answer within 100 ms");
  const ask = open(port, { most: 1 });
  const stop = new AbortController();
  const asked = ask("silent", stop.signal);
  const socket = await silent.promise;
  stop.abort(new Error("enough"));
  await expect(asked).rejects.toThrow("enough");
  const next = ask("next");
  socket.write(found("silent"));
  expect((await next).header("etag")).toBe("next");
});

test("what was left while it waited for a connection is never sent", async () => {
  const busy = Promise.withResolvers<Socket>();
  const { port, heard } = await serve((name, socket) => {
    if (name === "busy") busy.resolve(socket);
    else socket.write(found(name));
  });
  const ask = open(port, { most: 1 });
  const first = ask("busy");
  const socket = await busy.promise;
  const stop = new AbortController();
  const left = names.map((name) => ask(name, stop.signal));
  const next = ask("next");
  stop.abort(new Error("enough"));
  for (const each of left) await expect(each).rejects.toThrow("enough");
  socket.write(found("busy"));
  expect((await first).header("etag")).toBe("busy");
  expect((await next).header("etag")).toBe("next");
  expect(heard.flat(2)).toEqual(["busy", "next"]);
});

test("a server's certificate is checked", async () => {
  const [key, cert] = await Promise.all([fixture("server-key"), fixture("server")]);
  const { port } = await serve(
    (name, socket) => socket.write(found(name)),
    createSecureServer({ key, cert }),
    "secureConnection",
  );
  await expect(open(port, { secure: true })("one")).rejects.toThrow("certificate");
  const known = getCACertificates("default");
  closers.push(() => setDefaultCACertificates(known));
  setDefaultCACertificates([cert]);
  expect((await open(port, { secure: true })("one")).header("etag")).toBe("one");
});

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { createLinkProxy, type LinkProxy } from "../../../scripts/planet/link-proxy.ts";

const undone: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const undo of undone.splice(0).toReversed()) await undo();
});

async function startServer(serve: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  undone.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });
  return (server.address() as { port: number }).port;
}

async function link(port: number, rttMs: number): Promise<LinkProxy> {
  const proxy = await createLinkProxy({ name: "test", target: { host: "127.0.0.1", port }, rttMs });
  undone.push(() => proxy.close());
  return proxy;
}

function dial(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  undone.push(async () => socket.destroy());
  return socket;
}

/** Resolves when the socket is closed, however (events.once would throw at an error before it). */
const closing = (socket: Socket) =>
  new Promise<void>((resolve) => socket.once("close", () => resolve()));

const echo = (socket: Socket) => socket.pipe(socket);

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test("every byte of a large stream crosses the link once and in order, and a half-close crosses after it", async () => {
  const proxy = await link(await startServer(echo), 20);
  const sent = randomBytes(24 * 2 ** 20);
  const socket = dial(proxy.port);
  const received = readAll(socket);
  socket.end(sent);
  const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  expect(hash(await received)).toBe(hash(sent));
  await expect.poll(() => proxy.stats().connections).toBe(0);
  expect(proxy.stats()).toMatchObject({ bytesToTarget: sent.length, bytesToClient: sent.length });
});

test("an answer takes no less than handshake and round trip", async () => {
  const proxy = await link(await startServer(echo), 80);
  const start = performance.now();
  const socket = dial(proxy.port);
  socket.write("a");
  await once(socket, "data");
  expect(performance.now() - start).toBeGreaterThanOrEqual(160);
  const again = performance.now();
  socket.write("b");
  await once(socket, "data");
  expect(performance.now() - again).toBeGreaterThanOrEqual(80);
});

test("many messages are on a link at once: the second does not wait for the first to arrive", async () => {
  let arrivals = "";
  const port = await startServer((socket) =>
    socket.on("data", (bytes: Buffer) => (arrivals += String(bytes))),
  );
  const [near, far] = [dial((await link(port, 400)).port), dial((await link(port, 1200)).port)];
  far.write("f");
  for (let at = 0; at < 10; at += 1) {
    near.write(String(at));
    await sleep(5);
  }
  // One after the other, nine one-way delays of the near link would take longer than the far one's handshake.
  await expect.poll(() => arrivals).toBe("0123456789f");
});

test("a sender has to wait when the receiver does not read", async () => {
  let held: Socket | undefined;
  const port = await startServer((socket) => (held = socket.pause()));
  const proxy = await link(port, 2);
  const socket = dial(proxy.port);
  const total = 96 * 2 ** 20;
  socket.end(Buffer.alloc(total));
  await expect.poll(() => proxy.stats().bytesToTarget).toBeGreaterThan(0);
  await sleep(400);
  expect(socket.writableLength).toBeGreaterThan(0);
  expect(proxy.stats().bytesToTarget).toBeLessThan(total);
  let got = 0;
  held?.on("data", (bytes: Buffer) => (got += bytes.length)).resume();
  await expect.poll(() => got, { timeout: 45_000 }).toBe(total);
});

test("nothing passes a blackhole; what was sent into it arrives in order after the link is back", async () => {
  const proxy = await link(await startServer(echo), 2);
  const socket = dial(proxy.port);
  let got = "";
  socket.on("data", (bytes: Buffer) => (got += bytes.toString()));
  socket.write("before ");
  await expect.poll(() => got).toBe("before ");
  proxy.cut("blackhole");
  socket.write("during ");
  const late = dial(proxy.port);
  const lateAnswer = once(late, "data");
  late.write("late");
  await sleep(100);
  expect(got).toBe("before ");
  proxy.restore();
  socket.write("after");
  await expect.poll(() => got).toBe("before during after");
  expect(String((await lateAnswer)[0])).toBe("late");
});

test("a reset link breaks open connections and refuses new ones until it is restored", async () => {
  const proxy = await link(await startServer(echo), 2);
  const open = dial(proxy.port);
  open.write("x");
  await once(open, "data");
  const broken = closing(open);
  proxy.cut("reset");
  await broken;
  await closing(dial(proxy.port));
  proxy.restore();
  const again = dial(proxy.port);
  again.write("y");
  expect(String((await once(again, "data"))[0])).toBe("y");
});

test("a target that refuses, and one that breaks off, break the client's connection and leave nothing open", async () => {
  const refusing = await link(1, 2);
  await closing(dial(refusing.port));
  const breaking = await link(
    await startServer((socket) => socket.once("data", () => socket.resetAndDestroy())),
    2,
  );
  const socket = dial(breaking.port);
  socket.write("x");
  await closing(socket);
  await expect.poll(() => refusing.stats().connections + breaking.stats().connections).toBe(0);
});

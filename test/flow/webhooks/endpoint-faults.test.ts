import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { expect, test } from "vitest";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import { webhookKeys } from "../../../regions/webhooks/webhook-keys.ts";
import { makeRun } from "../results/make-run.ts";
import { HOUR, payloadOf } from "./webhook-bench.ts";
import {
  answering,
  another,
  bench,
  closes,
  endpoint,
  received,
  rowsWith,
} from "./deliveries-under-test.ts";

/** No try ends by it while a test goes on, however slow the machine is. */
const PATIENT = { timeoutMs: 120_000 };

test("an endpoint that asks for a pause gets nothing else meanwhile, while others do", async () => {
  const other = await another();
  endpoint.answer = answering(429, { "retry-after": "120" });
  bench.addEndpoint(endpoint.url);
  bench.start();
  await bench.publish();
  await rowsWith([{ status: "pending", response_status: 429 }]);
  bench.addEndpoint(other.url);
  await bench.publish();
  await received(1, other);
  await bench.publish();
  await received(2, other);
  expect(endpoint.received).toHaveLength(1);
  endpoint.answer = answering(200);
  bench.clock.ms += 120_000;
  await received(4);
});

test("an endpoint that hangs, one that answers garbage, one that would speak another protocol and one that never stops answering are cut off", async () => {
  const [endless, hangs] = [await another(), await another()];
  let sent = 0;
  const chunk = Buffer.alloc(64 * 1024);
  endless.answer = (response) => {
    const more = () => {
      while (!response.destroyed) {
        sent += chunk.length;
        if (!response.write(chunk)) break;
      }
    };
    response
      .writeHead(200)
      .on("drain", more)
      .on("error", () => undefined);
    more();
  };
  hangs.answer = () => undefined;
  const garbage = createServer((socket) => {
    socket.on("error", () => undefined).once("data", () => socket.end("\0\0 what is this\r\n\r\n"));
  }).listen(0, "127.0.0.1");
  await once(garbage, "listening");
  closes.push(async () => garbage.close());
  const upgrades = createServer((socket) => {
    const head =
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
    socket.on("error", () => undefined).once("data", () => socket.write(head));
  }).listen(0, "127.0.0.1");
  await once(upgrades, "listening");
  closes.push(async () => upgrades.close());
  const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const onSuccess = { events: ["job.succeeded" as const] };
  const names = new Map([
    [bench.addEndpoint(endless.url, onSuccess), "endless"],
    [bench.addEndpoint(hangs.url, { events: ["job.failed"] }), "hangs"],
    [bench.addEndpoint(urlOf(garbage), onSuccess), "garbage"],
    [bench.addEndpoint(urlOf(upgrades), onSuccess), "upgrades"],
  ]);
  const patient = bench.start(PATIENT);
  await bench.publish();
  await expect.poll(async () => (await bench.rows()).length).toBe(3);
  await patient.end();
  // Only what hangs is given a short time: an answer that a busy machine holds up would be late too.
  bench.start({ timeoutMs: 300 });
  const failed = makeRun();
  failed.envelope.job.status = "failed";
  await bench.publish(failed);
  await expect.poll(async () => (await bench.rows()).length).toBe(4);
  const rows = await bench.rows();
  const outcome = Object.fromEntries(
    rows.map(({ endpoint_id, status, error }) => [names.get(endpoint_id!), [status, error]]),
  );
  expect(outcome).toEqual({
    endless: ["delivered", null],
    hangs: ["pending", "timed_out"],
    garbage: ["pending", "answer_invalid"],
    upgrades: ["pending", "answer_invalid"],
  });
  await expect.poll(() => endless.open() + hangs.open()).toBe(0);
  // What the sockets' buffers took in until the connection was cut; an endless answer would go on.
  expect(sent).toBeLessThan(32 * 2 ** 20);
});

test("a flood to an endpoint that hangs delays no other endpoint, of the same tenant either", async () => {
  const hangs = await another();
  hangs.answer = () => undefined;
  bench.addEndpoint(hangs.url);
  const flood = 300;
  for (let i = 0; i < flood; i++) await bench.publish();
  bench.start({ ...PATIENT, concurrency: 64, mostOfLane: 4 });
  await received(4, hangs);
  await expect.poll(() => bench.redis.xlen(resultKeys.webhooks)).toBe(0);
  bench.addEndpoint(endpoint.url);
  const { offer } = await bench.publish();
  await received(1);
  expect(payloadOf(endpoint.received[0]!).data.job_id).toBe(offer.job_id);
  expect(hangs.received.length).toBe(4);
  expect(await bench.redis.zcard(webhookKeys.pending)).toBeGreaterThanOrEqual(flood);
});

test("jobs that name many addresses which all hang take a bounded part of the tries, and delay no other tenant", async () => {
  const hangs = await another();
  hangs.answer = () => undefined;
  const { port } = new URL(hangs.url);
  for (let i = 0; i < 160; i++) {
    const run = makeRun({ tenantId: "ten_flood" });
    run.webhook = { own: { url: `http://host-${i}.test:${port}/` } };
    await bench.publish(run);
  }
  bench.start({
    ...PATIENT,
    concurrency: 72,
    resolve: async () => [{ address: "127.0.0.1", family: 4 }],
  });
  await expect.poll(() => bench.redis.xlen(resultKeys.webhooks)).toBe(0);
  bench.addEndpoint(endpoint.url);
  await bench.publish();
  await received(1);
  expect(hangs.received.length).toBeLessThanOrEqual(64);
});

test("an endpoint that only fails is paused with the reason, holds what comes, and goes on once it is made active", async () => {
  endpoint.answer = answering(502);
  const id = bench.addEndpoint(endpoint.url);
  const keeper = bench.start({ pauseAfter: { failures: 2, ms: 12 * HOUR } });
  await bench.publish();
  for (let tries = 1; tries <= 4; tries++) {
    await received(tries);
    await expect.poll(async () => (await bench.rows())[0]?.attempts).toBe(tries);
    if (tries < 4) bench.clock.ms += 5 * HOUR;
  }
  await expect.poll(() => bench.redis.hlen(webhookKeys.stopped)).toBe(1);
  // The database may be away: in this region it is paused all the same.
  bench.database.away = true;
  await expect(keeper.book.carry()).rejects.toThrow();
  bench.clock.ms += 10 * HOUR;
  bench.database.away = false;
  await rowsWith([{ status: "held" }]);
  await keeper.book.carry();
  expect(bench.stopped).toEqual([
    { id, status: "paused", reason: "every try failed for 15 hours; the last: HTTP 502" },
  ]);
  const later = await bench.publish();
  // Both have to be there when the endpoint is looked at again: the next look is a second of this clock later.
  await expect.poll(() => bench.redis.xlen(resultKeys.webhooks)).toBe(0);
  bench.clock.ms += HOUR;
  await expect
    .poll(async () => (await bench.rows()).map(({ status }) => status))
    .toEqual(["held", "held"]);
  expect(endpoint.received).toHaveLength(4);

  endpoint.answer = answering(200);
  Object.assign(bench.endpoints.get(id)!, { status: "active", statusSinceMs: bench.clock.ms });
  bench.clock.ms += 2000;
  await received(6);
  const jobs = endpoint.received.slice(4).map((each) => payloadOf(each).data.job_id);
  expect(jobs).toContain(later.offer.job_id);
});

test("an endpoint that answers 410 gets nothing more, whatever waits for it", async () => {
  endpoint.answer = answering(410);
  const id = bench.addEndpoint(endpoint.url);
  const keeper = bench.start({ mostOfLane: 1 });
  await bench.publish();
  await rowsWith([{ status: "failed", response_status: 410 }]);
  await bench.publish();
  await expect
    .poll(async () => (await bench.rows())[1])
    .toMatchObject({
      status: "failed",
      error: "endpoint_disabled",
      attempts: 0,
    });
  await keeper.book.carry();
  expect(bench.stopped).toMatchObject([{ id, status: "disabled" }]);
  expect(endpoint.received).toHaveLength(1);
});

test("a name that leads to a private address is refused when it is connected to, also when it was public a moment ago", async () => {
  const { port } = new URL(endpoint.url);
  bench.addEndpoint(`http://hooks.example.test:${port}/`);
  const answers = [
    [{ address: "127.0.0.1", family: 4 }],
    [{ address: "10.0.0.7", family: 4 }],
    [
      { address: "127.0.0.1", family: 4 },
      { address: "fd00:ec2::254", family: 6 },
    ],
  ];
  let asked = 0;
  bench.start({ resolve: async () => answers[asked++]! });
  const outcomes: unknown[] = [];
  for (const count of [1, 2, 3]) {
    const { offer } = await bench.publish();
    const row = async () => (await bench.rows()).find(({ job_id }) => job_id === offer.job_id);
    await expect.poll(row).toBeDefined();
    const { status, error } = (await row())!;
    outcomes.push([status, error]);
    // Once for each connection: nothing between check and use could change the answer.
    expect(asked).toBe(count);
  }
  expect(outcomes).toEqual([
    ["delivered", null],
    ["pending", "address_refused"],
    ["pending", "address_refused"],
  ]);
  expect(endpoint.received).toHaveLength(1);
});

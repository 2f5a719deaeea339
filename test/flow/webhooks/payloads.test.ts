import { expect, test } from "vitest";
import { sealResult } from "../../../regions/results/sealed-result.ts";
import { webhookKeys } from "../../../regions/webhooks/webhook-keys.ts";
import { makeRun } from "../results/make-run.ts";
import { HOUR, payloadOf } from "./webhook-bench.ts";
import {
  answering,
  bench,
  endpoint,
  offer,
  received,
  rowsWith,
  startRelay,
} from "./deliveries-under-test.ts";

test("a result goes with the event where it was asked for and is small enough; else the event says why not", async () => {
  bench.addEndpoint(endpoint.url, { includeResult: true });
  bench.start();
  const [small, large, gone] = [makeRun(), makeRun(), makeRun()];
  bench.results.set(small.offer.job_id, JSON.stringify({ note: "a result" }));
  bench.results.set(large.offer.job_id, JSON.stringify({ note: "x".repeat(256 * 1024) }));
  for (const run of [small, large, gone]) await bench.publish(run);
  await received(3);
  const told = new Map(
    endpoint.received.map((each) => [payloadOf(each).data.job_id, payloadOf(each).data]),
  );
  expect(told.get(small.offer.job_id)).toMatchObject({ result: { note: "a result" } });
  expect(told.get(large.offer.job_id)).toMatchObject({ result_omitted: "too_large" });
  expect(told.get(gone.offer.job_id)).toMatchObject({ result_omitted: "not_readable" });
});

test("a result that is kept nowhere else waits sealed, comes with the event, and is gone once delivered", async () => {
  bench.addEndpoint(endpoint.url);
  endpoint.answer = answering(500);
  const run = makeRun();
  const result = JSON.stringify({ transcript: "a marked sentence", filler: "y".repeat(300_000) });
  const sealed = sealResult(bench.box, run.offer.job_id, result);
  run.webhook = { sealed };
  expect(() => bench.box.open(sealed, "webhook-result/another")).toThrow();
  startRelay();
  bench.start();
  await offer(run);
  await rowsWith([{ status: "pending" }]);
  const all = async () => {
    const keys = await bench.redis.keys("*");
    const texts = await Promise.all(
      keys.map(async (key) => (await bench.redis.dump(key).catch(() => "")) ?? ""),
    );
    return { keys, text: texts.join("") };
  };
  expect((await all()).text).not.toContain("a marked sentence");
  expect((await all()).keys.some((key) => key.includes(":sealed:"))).toBe(true);
  endpoint.answer = answering(200);
  bench.clock.ms += HOUR;
  await received(2);
  expect(payloadOf(endpoint.received[1]!).data).toMatchObject({
    result: { transcript: "a marked sentence" },
  });
  await rowsWith([{ status: "delivered" }]);
  expect((await all()).keys.some((key) => key.includes(":sealed:"))).toBe(false);
});

test("sealed results of one tenant take a bounded room: what is beyond fails and is not kept, and what ends makes room", async () => {
  bench.addEndpoint(endpoint.url);
  bench.addEndpoint(endpoint.url, { tenantId: "ten_other" });
  endpoint.answer = answering(500);
  // Room for two, not three.
  bench.start({ mostSealedBytes: 100_000 });
  const publish = async (tenantId = "ten_demo") => {
    const run = makeRun({ tenantId });
    run.webhook = { sealed: sealResult(bench.box, run.offer.job_id, "y".repeat(30_000)) };
    await bench.publish(run);
    const { job_id } = run.offer;
    const row = async () => (await bench.rows()).find((each) => each.job_id === job_id);
    await expect.poll(row).toBeDefined();
    return (await row())!;
  };
  const outcomes = async (count: number) => {
    const rows = [];
    for (let n = 0; n < count; n++) rows.push(await publish());
    return rows.map(({ status, error }) => [status, error]);
  };
  const sealedKeys = async () => (await bench.redis.keys(webhookKeys.sealed("*"))).length;
  const waits = ["pending", "refused"];
  const refused = ["failed", "too_many_pending"];
  expect(await outcomes(3)).toEqual([waits, waits, refused]);
  expect(await sealedKeys()).toBe(2);
  // Another tenant's room is its own, and what has no sealed result needs none.
  expect(await publish("ten_other")).toMatchObject({ status: "pending" });
  const { offer } = await bench.publish();
  await expect
    .poll(async () => (await bench.rows()).find(({ job_id }) => job_id === offer.job_id))
    .toMatchObject({ status: "pending" });

  endpoint.answer = answering(200);
  bench.clock.ms += HOUR;
  await expect.poll(() => bench.redis.zcard(webhookKeys.pending)).toBe(0);
  expect(await sealedKeys()).toBe(0);
  endpoint.answer = answering(500);
  expect(await outcomes(3)).toEqual([waits, waits, refused]);
});

test("of a bound tenant nothing that its client wrote is on its way to the database, and no secret is in any log", async () => {
  endpoint.answer = answering(500);
  bench.addEndpoint(endpoint.url);
  const run = makeRun({ residency: "eu" });
  run.webhook = {
    own: { url: `${endpoint.url}?token=content` },
    user_id: "content-user",
    metadata: { note: "content-note" },
  };
  bench.start();
  await bench.publish(run);
  await received(2);
  await expect.poll(async () => (await bench.rows()).length).toBe(2);
  expect(JSON.stringify(await bench.rows())).not.toContain("content");
  expect(endpoint.received[0]!.body).toContain("content-note");
  expect(bench.logged.join()).not.toMatch(/whsec_|content/);
});

test("what was deleted is told no more, and a target's memory is bounded", async () => {
  endpoint.answer = answering(500);
  bench.addEndpoint(endpoint.url);
  bench.start({ mostInLane: 2 });
  const run = makeRun();
  run.webhook = { metadata: { note: "to be deleted" } };
  await bench.publish(run);
  await rowsWith([{ status: "pending", attempts: 1 }]);
  bench.deleted.add(run.offer.job_id);
  bench.clock.ms += HOUR;
  await expect
    .poll(async () => (await bench.rows())[0])
    .toMatchObject({ status: "canceled", error: "job_deleted" });
  expect(endpoint.received).toHaveLength(1);
  const kept = await bench.redis.get(webhookKeys.delivery((await bench.rows())[0]!.id));
  expect(kept).not.toContain("to be deleted");

  // Deleted while it is on its way, it does not come back.
  endpoint.answer = (response) => {
    void bench.redis
      .keys(webhookKeys.delivery("*"))
      .then((keys) => bench.redis.del(...keys))
      .then(() => response.end());
  };
  await bench.publish();
  await received(2);
  await expect.poll(() => bench.redis.zcard(webhookKeys.pending)).toBe(0);
  expect(await bench.redis.keys(webhookKeys.delivery("*"))).toEqual([]);
  endpoint.answer = answering(500);

  for (let i = 0; i < 3; i++) {
    await bench.publish();
    await received(i < 2 ? 3 + i : 4);
  }
  await expect
    .poll(
      async () => (await bench.rows()).filter(({ error }) => error === "too_many_pending").length,
    )
    .toBe(1);
});

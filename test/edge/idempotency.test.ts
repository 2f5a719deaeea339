import { env } from "cloudflare:workers";
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import type { Idempotency } from "../../edge/ledger/idempotency.ts";
import { mintUploadId } from "../../shared/contracts/ids.ts";
import { regions as allRegions } from "../../shared/contracts/regions.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

const upload = () => ({ upload_id: mintUploadId(allRegions[0]!) });
const keyed = (name = "k-1") => ({ "idempotency-key": name });

async function ready() {
  const edge = startEdge();
  const tenant = newTenant();
  return { ...edge, tenant, key: await edge.regions.addKey({ tenant_id: tenant }) };
}

describe("a request with an idempotency key", () => {
  test("gets the first answer again, and takes effect once", async () => {
    const { call, regions, key } = await ready();
    const body = upload();
    const first = await call("/v1/analyses", { key, body, headers: keyed() });
    const second = await call("/v1/analyses", { key, body, headers: keyed() });
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(first.headers.get("idempotency-replayed")).toBeNull();
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(second.headers.get("location")).toBe(first.headers.get("location"));
    expect(second.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
    expect(await second.json()).toEqual(await first.json());
    expect(regions.asked("/internal/jobs")).toHaveLength(1);
  });

  test("and another body is refused", async () => {
    const { call, key } = await ready();
    await call("/v1/analyses", { key, body: upload(), headers: keyed() });
    const response = await call("/v1/analyses", { key, body: upload(), headers: keyed() });
    expect(response.status).toBe(422);
    expect(await codeOf(response)).toBe("idempotency_key_reused");
  });

  test("does not meet another tenant's, nor another call's, of the same name", async () => {
    const { call, regions, key } = await ready();
    const other = await regions.addKey({ tenant_id: newTenant() });
    const body = upload();
    const bytes = { content_type: "audio/wav", bytes: 10 };
    const answers = [
      await call("/v1/analyses", { key, body, headers: keyed() }),
      await call("/v1/analyses", { key: other, body, headers: keyed() }),
      await call("/v1/uploads", { key, body: bytes, headers: keyed() }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 201]);
  });

  test("waits its turn while its twin is being answered", async () => {
    const { call, regions, key } = await ready();
    const body = upload();
    let twin: Response | undefined;
    regions.on("POST /internal/jobs", async ({ body: spec }) => {
      twin ??= await call("/v1/analyses", { key, body, headers: keyed() });
      return { job_id: spec["id"], dispatch: 1, duplicate: false, queue_position: 0 };
    });
    const first = await call("/v1/analyses", { key, body, headers: keyed() });
    expect(first.status).toBe(202);
    expect(twin!.headers.get("retry-after")).toBe("1");
    expect(await codeOf(twin!)).toBe("request_in_progress");
  });

  test("sent many times at once, to several isolates, makes one job, and each sender is told that one in the end", async () => {
    const { call, regions, key } = await ready();
    const others = [startEdge(), startEdge()];
    const isolates = [call, ...others.map((edge) => edge.call)];
    // The network is the last one's; all know the key.
    const network = others[1]!.regions;
    for (const [hash, record] of regions.keys) network.keys.set(hash, record);
    const body = upload();
    const send = (n: number) =>
      isolates[n % isolates.length]!("/v1/analyses", { key, body, headers: keyed() });
    const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => send(n)));
    const refused = answers.filter(({ status }) => status !== 202);
    for (const answer of refused) expect(await codeOf(answer)).toBe("request_in_progress");
    expect(refused.length).toBeLessThan(12);
    const again = await Promise.all(refused.map((_, n) => send(n)));
    const taken = [...answers.filter(({ status }) => status === 202), ...again];
    expect(taken.map(({ status }) => status)).toEqual(taken.map(() => 202));
    const ids = taken.map(async (answer) => ((await answer.json()) as { id: string }).id);
    expect(new Set(await Promise.all(ids)).size).toBe(1);
    expect(network.asked("/internal/jobs")).toHaveLength(1);
  });

  test("gets a final refusal again, under its own request id", async () => {
    const { call, regions, key } = await ready();
    regions.refuse("POST /internal/jobs", "audio_empty");
    const body = upload();
    const first = await call("/v1/analyses", { key, body, headers: keyed() });
    expect(await codeOf(first)).toBe("audio_empty");
    const second = await call("/v1/analyses", { key, body, headers: keyed() });
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(await codeOf(second)).toBe("audio_empty");
    expect(regions.asked("/internal/jobs")).toHaveLength(1);
  });

  test("is tried anew after an error that may pass, as the same job under a new dispatch", async () => {
    const { call, regions, key } = await ready();
    const accept = ({ body }: { body: Record<string, unknown> }) => ({
      job_id: body["id"],
      dispatch: body["dispatch"],
      duplicate: false,
      queue_position: 0,
    });
    regions.refuse("POST /internal/jobs", "upload_not_found");
    const body = upload();
    const first = await call("/v1/analyses", { key, body, headers: keyed() });
    expect(await codeOf(first)).toBe("upload_not_found");
    regions.on("POST /internal/jobs", accept);
    expect((await call("/v1/analyses", { key, body, headers: keyed() })).status).toBe(202);
    const [before, after] = regions.asked("/internal/jobs").map((request) => request.body);
    expect(after!["id"]).toBe(before!["id"]);
    expect([before!["dispatch"], after!["dispatch"]]).toEqual([1, 2]);
  });

  test("needs a key of sane form", async () => {
    const { call, key } = await ready();
    const response = await call("/v1/analyses", {
      key,
      body: upload(),
      headers: keyed("x".repeat(256)),
    });
    expect(await codeOf(response)).toBe("invalid_request");
  });
});

describe("a claim", () => {
  const objects = () =>
    (env as unknown as { IDEMPOTENCY: DurableObjectNamespace<Idempotency> }).IDEMPOTENCY;
  const bucket = () => objects().get(objects().idFromName(crypto.randomUUID()));
  const claim = (resourceId: string) => ({ keyHash: "k", fingerprint: "f", resourceId });
  const began = Date.now();
  const later = (stub: ReturnType<typeof bucket>, ms: number) =>
    runInDurableObject(stub, (instance) => void (instance.now = () => began + ms));

  test("that died without an answer is resumed after a minute, under the same id", async () => {
    const object = bucket();
    await later(object, 0);
    expect(await object.claim(claim("job_1"))).toEqual({
      kind: "run",
      resourceId: "job_1",
      token: 1,
    });
    await later(object, 59_000);
    expect(await object.claim(claim("job_2"))).toEqual({ kind: "busy" });
    await later(object, 61_000);
    expect(await object.claim(claim("job_2"))).toEqual({
      kind: "run",
      resourceId: "job_1",
      token: 2,
    });
  });

  test("that was taken over can no longer answer", async () => {
    const object = bucket();
    await later(object, 0);
    await object.claim(claim("job_1"));
    await later(object, 61_000);
    await object.claim(claim("job_2"));
    const answer = (body: string) => ({ status: 202, headers: {}, body });
    await object.answer("k", 1, answer("late"));
    await object.release("k", 1);
    expect(await object.claim(claim("job_3"))).toEqual({ kind: "busy" });
    await object.answer("k", 2, answer("right"));
    expect(await object.claim(claim("job_3"))).toEqual({ kind: "replay", answer: answer("right") });
  });

  test("is forgotten after a day, by the alarm", async () => {
    const object = bucket();
    await later(object, 0);
    await object.claim(claim("job_1"));
    await object.answer("k", 1, { status: 202, headers: {}, body: "" });
    await later(object, 24 * 3_600_000 + 1);
    expect(await runDurableObjectAlarm(object)).toBe(true);
    const rows = await runInDurableObject(object, (_, state) =>
      state.storage.sql.exec("SELECT count(*) AS n FROM claims").one(),
    );
    expect(rows).toEqual({ n: 0 });
  });
});

import { compactVerify, importJWK } from "jose";
import { env, runInDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { createDeletionMarks } from "../../edge/ledger/deletion-marks.ts";
import { MAX_RECEIPTS, type Deletions } from "../../edge/ledger/deletions.ts";
import { DeletionReceipt, MAX_OPEN_DELETIONS } from "../../shared/contracts/deletions.ts";
import { signAudioUrl } from "../../shared/signing/audio-url.ts";
import { ReceiptKeySet, verifyReceipt } from "../../shared/signing/receipt.ts";
import { readEdgeConfig } from "../../edge/env.ts";
import { AUDIO_URL_KEYS, REGION_IDS } from "./support/bindings.ts";
import { audioFacts, draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";
import { putOffAlarms } from "./support/time.ts";
import { BatchAccepted, BatchEntry } from "../../shared/contracts/batches.ts";
import { textUploadId } from "../../shared/contracts/ids.ts";

const DAY_MS = 24 * 3_600_000;
const DONE_AT = "2026-11-21T10:00:00.000Z";
const done = {
  done_at: DONE_AT,
  stores: [{ store: "redis", removed: { jobs: 1 }, done_at: DONE_AT }],
};
const notDone = { done_at: null, stores: [] };

async function ready({ residency = "global" as "global" | "eu", userId = "u-1" } = {}) {
  const edge = startEdge();
  const tenant = newTenant("del");
  const key = await edge.regions.addKey({ tenant_id: tenant, residency });
  edge.regions.on("POST /internal/deletions", () => done);
  const region = residency === "eu" ? "eu-west" : "us-east";
  await runInDurableObject(objectOf(tenant), (object, state) => {
    object.config = () => readEdgeConfig(edge.bindings);
    putOffAlarms(state);
  });
  async function finished(user = userId) {
    const draft = { ...draftOf(tenant, region), residency, user_id: user };
    const shard = shardOf(draft);
    await shard.reserve(draft, region);
    await shard.accept(draft.id, 1);
    const audio = { sha256: audioFacts.sha256, bytes: 1, duration_s: 1, extension: "wav" };
    const offer = offerOf(draft, { dispatch: 1, attempt: 1 }, { region, audio });
    await shard.complete([offer]);
    return { draft, shard, offer };
  }
  const order = (scope: object, headers: Record<string, string> = {}) =>
    edge.call("/v1/deletions", { key, body: scope, headers });
  const read = async (id: string) =>
    DeletionReceipt.parse(await (await edge.call(`/v1/deletions/${id}`, { key })).json());
  const orders = () => edge.regions.requests.filter(({ path }) => path === "/internal/deletions");
  return { ...edge, tenant, key, finished, order, read, orders };
}
const receiptOf = async (answer: Response) => {
  expect(answer.status).toBe(202);
  return DeletionReceipt.parse(await answer.json());
};
function objectOf(tenant: string): DurableObjectStub<Deletions> {
  const namespace = (env as unknown as { DELETIONS: DurableObjectNamespace<Deletions> }).DELETIONS;
  return namespace.get(namespace.idFromName(tenant));
}

describe("a deletion", () => {
  test("of one job hides it at once, is told to every region, and ends in a receipt that anyone can verify", async () => {
    const { call, key, tenant, finished, order, read, orders } = await ready();
    const { draft, shard, offer } = await finished();
    const other = await finished();
    const begun = await receiptOf(await order({ job_id: draft.id }));
    expect(await codeOf(await call(`/v1/jobs/${draft.id}`, { key }))).toBe("job_not_found");
    expect((await call(`/v1/jobs/${other.draft.id}`, { key })).status).toBe(200);
    expect(await shard.complete([offer])).toEqual(["unknown"]);
    expect(
      orders()
        .map(({ region }) => region)
        .sort(),
    ).toEqual([...REGION_IDS].sort());
    expect(orders()[0]!.body).toMatchObject({
      id: begun.id,
      tenant_id: tenant,
      scope: { job_id: draft.id },
      jobs: [{ id: draft.id, upload_id: draft.upload_id, sha256: audioFacts.sha256 }],
      asked_by: {
        actor: expect.stringMatching(/^key_/),
        request_id: expect.stringMatching(/^req_/),
      },
    });

    const receipt = await read(begun.id);
    expect(receipt).toMatchObject({ status: "completed", edge: { removed: { ledger_jobs: 1 } } });
    expect(receipt.regions).toHaveLength(REGION_IDS.length);
    const keys = ReceiptKeySet.parse(await (await call("/.well-known/jwks.json")).json());
    expect(JSON.stringify(keys)).not.toContain('"d"');
    expect(await verifyReceipt(keys, receipt)).toMatchObject({ id: begun.id, tenant_id: tenant });
    const forged = { ...receipt, completed_at: "2020-01-01T00:00:00.000Z" };
    expect(await verifyReceipt(keys, forged)).toBeUndefined();
    const [head, , signature] = receipt.jws.split(".");
    const body = btoa(JSON.stringify({ ...receipt, jws: undefined }).replace("u", "v"));
    expect(
      await verifyReceipt(keys, { ...receipt, jws: `${head}.${body}.${signature}` }),
    ).toBeUndefined();
    // By somebody else's code.
    const { payload } = await compactVerify(receipt.jws, await importJWK(keys.keys[0]!, "EdDSA"));
    expect(JSON.parse(new TextDecoder().decode(payload))).toMatchObject({ status: "completed" });
  });

  test("stays partial while a region is away, and is completed by the alarm when it is back", async () => {
    const { regions, tenant, finished, order, orders } = await ready();
    regions.on("POST /internal/deletions", ({ region }) =>
      region === "ap-south" ? Response.json({}, { status: 503 }) : done,
    );
    const { draft } = await finished();
    const begun = await receiptOf(await order({ job_id: draft.id }));
    expect(begun.status).toBe("partial");
    expect(begun.regions.find(({ region }) => region === "ap-south")).toMatchObject(notDone);
    regions.on("POST /internal/deletions", () => done);
    const before = orders().length;
    const facts = await runInDurableObject(objectOf(tenant), async (object) => {
      object.now = () => Date.now() + 60_000;
      await object.alarm();
      return object.read(begun.id);
    });
    expect(facts).toMatchObject({ status: "completed" });
    // Regions that were done are not asked again.
    expect(
      orders()
        .slice(before)
        .map(({ region }) => region),
    ).toEqual(["ap-south"]);
    expect(await runDurableObjectAlarm(objectOf(tenant))).toBe(true);
  });

  test("is refused while a hundred others of the tenant are open; one of those goes on, and an ended one makes room", async () => {
    const { regions, tenant, order, read } = await ready();
    regions.on("POST /internal/deletions", () => notDone);
    const wanted = { "idempotency-key": "first" };
    const first = await receiptOf(await order({ user_id: "u-0" }, wanted));
    await runInDurableObject(objectOf(tenant), (_object, { storage }) => {
      for (let n = 1; n < MAX_OPEN_DELETIONS; n++) {
        storage.sql.exec(
          "INSERT INTO deletions (id, tenant_id, residency, scope, requested_at) VALUES (?, ?, ?, ?, ?)",
          `del_${n}`,
          tenant,
          "global",
          JSON.stringify({ user_id: `u-${n}` }),
          Date.now(),
        );
      }
    });
    const last = { "idempotency-key": "last" };
    const refused = await order({ user_id: "u-last" }, last);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "60"]);
    expect(await codeOf(refused)).toBe("rate_limited");
    expect((await read(first.id)).status).toBe("partial");
    regions.on("POST /internal/deletions", () => done);
    expect((await read(first.id)).status).toBe("completed");
    await receiptOf(await order({ user_id: "u-last" }, last));
  });

  test("of an end user takes that user's jobs alone", async () => {
    const { call, key, finished, order, orders } = await ready();
    const [mine, yours] = [await finished("u-mine"), await finished("u-yours")];
    await receiptOf(await order({ user_id: "u-mine" }));
    expect((await call(`/v1/jobs/${mine.draft.id}`, { key })).status).toBe(404);
    expect((await call(`/v1/jobs/${yours.draft.id}`, { key })).status).toBe(200);
    expect(orders()[0]!.body["jobs"]).toMatchObject([{ id: mine.draft.id }]);
  });

  test("of an item of a batch names its own bytes alone, and the manifest tells of it; of everything, the batch goes", async () => {
    const { call, regions, tenant, order, orders } = await ready();
    const key = await regions.addKey({ tenant_id: tenant, scopes: ["speak", "analyze"] });
    regions.on("POST /internal/jobs/batch", ({ body }) =>
      Response.json({ taken: (body["jobs"] as unknown[]).length }, { status: 202 }),
    );
    const items = [
      { input: "Tell nobody.", user_id: "u-mine" },
      { input: "Good night.", user_id: "u-yours" },
    ];
    const made = await call("/v1/audio/speech/batch", { key, body: { items } });
    const { batch_id, job_ids } = BatchAccepted.parse(await made.json());
    const manifest = async () => {
      const lines = await (await call(`/v1/batches/${batch_id}/manifest`, { key })).text();
      return lines
        .trim()
        .split("\n")
        .map((line) => BatchEntry.parse(JSON.parse(line)).status);
    };
    expect(await manifest()).toEqual(["open", "open"]);
    // A tombstone of which the item's shard has yet to hear.
    await runInDurableObject(objectOf(tenant), (_object, { storage }) => {
      const requestedAtMs = Date.now() + 1;
      const deleted = { id: "del_x", scope: { user_id: "u-mine" }, requestedAtMs };
      createDeletionMarks(storage.sql).made(deleted);
    });
    await receiptOf(await order({ job_id: job_ids[1] }));
    expect(orders()[0]!.body["jobs"]).toEqual([
      { id: job_ids[1], upload_id: textUploadId(batch_id), text: { offset: 12, bytes: 11 } },
    ]);
    expect(await manifest()).toEqual(["deleted", "deleted"]);
    await receiptOf(await order({ all: true }));
    expect(await codeOf(await call(`/v1/batches/${batch_id}`, { key }))).toBe("batch_not_found");
  });

  test("of everything ends what was made until then, also what comes late, and nothing that is made later", async () => {
    const { call, key, finished, order, regions } = await ready();
    const [first, second] = [await finished("a"), await finished("b")];
    const late = { ...draftOf(first.draft.tenant_id), user_id: "c" };
    await receiptOf(await order({ all: true }));
    for (const { draft } of [first, second]) {
      expect((await call(`/v1/jobs/${draft.id}`, { key })).status).toBe(404);
    }
    expect(await shardOf(late).reserve(late, "us-east")).toBeNull();
    regions.on("GET /internal/jobs", () => ({ data: [rowOf(first.draft)], next_cursor: null }));
    const list = (await (await call("/v1/jobs", { key })).json()) as { data: unknown[] };
    expect(list.data).toEqual([]);
    await expect.poll(() => Date.now()).toBeGreaterThan(Date.parse(second.draft.created_at) + 20);
    const { draft } = await finished("a");
    expect((await call(`/v1/jobs/${draft.id}`, { key })).status).toBe(200);
  });

  test("of a bound tenant's end user finds old jobs too, of which no database may say whose they are", async () => {
    const { finished, order, orders } = await ready({ residency: "eu" });
    const [mine, yours] = [await finished("u-mine"), await finished("u-yours")];
    for (const { shard } of [mine, yours]) {
      await runInDurableObject(shard, async (object) => {
        object.now = () => Date.now() + 31 * 24 * 3_600_000;
        await object.alarm();
        object.now = () => Date.now();
      });
    }
    await receiptOf(await order({ user_id: "u-mine" }));
    expect(orders()[0]!.body["jobs"]).toMatchObject([{ id: mine.draft.id }]);
  });

  test("goes to no region that the tenant's residency forbids", async () => {
    const { finished, order, orders } = await ready({ residency: "eu" });
    const { draft } = await finished();
    const begun = await receiptOf(await order({ job_id: draft.id }));
    expect(orders().map(({ region }) => region)).toEqual(["eu-west"]);
    expect(begun.regions.map(({ region }) => region)).toEqual(["eu-west"]);
  });

  test("makes links to the recording void, whatever a cache or bucket still has", async () => {
    const { call, finished, order, regions, tenant } = await ready();
    const { draft } = await finished();
    const address = {
      region: "us-east",
      sha256: audioFacts.sha256,
      extension: "wav",
      residency: "global" as const,
      tenantId: tenant,
    };
    regions.objects.set(`us-east/bucket-us-east/audio/global/${tenant}/${address.sha256}.wav`, {
      bytes: Uint8Array.from(new TextEncoder().encode("sound")),
      type: "audio/wav",
    });
    const url = await signAudioUrl(AUDIO_URL_KEYS, address, Date.now() + 3_600_000);
    expect((await call(url)).status).toBe(200);
    await receiptOf(await order({ job_id: draft.id }));
    expect(await codeOf(await call(url))).toBe("audio_not_found");
  });

  test("by DELETE of a job is the same; a job that is not the caller's is none", async () => {
    const { call, key, finished, regions } = await ready();
    const { draft } = await finished();
    const stranger = await regions.addKey({ tenant_id: newTenant() });
    const path = `/v1/jobs/${draft.id}`;
    const remove = (by: string) => call(path, { method: "DELETE", key: by });
    expect(await codeOf(await remove(stranger))).toBe("job_not_found");
    const receipt = await receiptOf(await remove(key));
    expect(receipt.scope).toEqual({ job_id: draft.id });
    expect(await codeOf(await remove(key))).toBe("job_not_found");
    const theirs = await call(`/v1/deletions/${receipt.id}`, { key: stranger });
    expect(await codeOf(theirs)).toBe("not_found");
  });

  test("under one idempotency key is one; answers about what it deleted are not replayed", async () => {
    const { call, key, order, tenant } = await ready();
    const headers = { "idempotency-key": `k-${tenant}` };
    const wave = { content_type: "audio/wav", bytes: 10 };
    const upload = await call("/v1/uploads", { key, body: wave, headers });
    const { upload_id } = (await upload.json()) as { upload_id: string };
    const body = { upload_id, metadata: { note: "secret" } };
    const made = (await (await call("/v1/analyses", { key, body, headers })).json()) as {
      id: string;
    };
    const wanted = { "idempotency-key": "delete-once" };
    const first = await receiptOf(await order({ job_id: made.id }, wanted));
    expect(first.edge!.removed["stored_answers"]).toBe(2);
    expect((await receiptOf(await order({ job_id: made.id }, wanted))).id).toBe(first.id);
    expect(await codeOf(await call("/v1/analyses", { key, body, headers }))).toBe("job_not_found");
    const again = await call("/v1/uploads", { key, body: wave, headers });
    expect(await codeOf(again)).toBe("job_not_found");
  });

  test("can be read as a receipt for 400 days; which jobs it named is dropped once no reader needs it", async () => {
    const { tenant, finished, order, call, key } = await ready();
    const { draft } = await finished();
    const open = await finished();
    const begun = await receiptOf(await order({ job_id: draft.id }));
    const read = () => call(`/v1/deletions/${begun.id}`, { key });
    const later = (days: number) =>
      runInDurableObject(objectOf(tenant), async (object, { storage }) => {
        object.now = () => Date.now() + days * DAY_MS;
        await object.alarm();
        const { marks } = await object.recent(null);
        const named = storage.sql.exec("SELECT 1 FROM parts WHERE jobs <> '[]'").toArray().length;
        return { marks: marks.map(([name]) => name), named, rings: await storage.getAlarm() };
      });
    expect(await later(1.9)).toMatchObject({
      marks: [`job:${draft.id}`, `audio:${audioFacts.sha256}`],
      named: REGION_IDS.length,
    });
    const slim = await later(2.1);
    expect(slim).toMatchObject({ marks: [], named: 0 });
    expect(slim.rings).toBeGreaterThan(Date.now() + 399 * DAY_MS);
    await later(399);
    const receipt = DeletionReceipt.parse(await (await read()).json());
    expect(receipt).toMatchObject({ status: "completed", completed_at: expect.any(String) });
    expect(receipt.regions).toHaveLength(REGION_IDS.length);
    // Another that is not complete is not dropped, however old.
    await runInDurableObject(objectOf(tenant), (object, { storage }) => {
      object.now = () => Date.now();
      storage.sql.exec(
        "INSERT INTO deletions (id, tenant_id, residency, scope, requested_at) VALUES (?, ?, 'global', ?, 0)",
        "del_open",
        tenant,
        JSON.stringify({ job_id: open.draft.id }),
      );
    });
    await later(401);
    expect(await codeOf(await read())).toBe("not_found");
    await runInDurableObject(objectOf(tenant), (_object, { storage }) => {
      const left = storage.sql.exec("SELECT id FROM deletions").toArray();
      expect(left).toEqual([{ id: "del_open" }]);
      expect(storage.sql.exec("SELECT * FROM parts").toArray()).toEqual([]);
    });
  });

  test("makes no tenant's object grow without end: of too many receipts the oldest go, a bounded number at a time", async () => {
    const tenant = newTenant("del");
    await runInDurableObject(objectOf(tenant), async (object, { storage }) => {
      const start = Date.now();
      const many = MAX_RECEIPTS + 250;
      storage.sql.exec(
        `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
         INSERT INTO deletions (id, tenant_id, residency, scope, requested_at, completed_at, names_jobs)
         SELECT 'del_' || n, ?, 'global', '{}', 0, ? + n, 0 FROM n`,
        many,
        tenant,
        start - DAY_MS,
      );
      const left = () =>
        storage.sql
          .exec<{ count: number; oldest: number }>(
            "SELECT count(*) AS count, min(completed_at) AS oldest FROM deletions",
          )
          .one();
      await object.alarm();
      expect(left().count).toBe(many - 200);
      await object.alarm();
      expect(left()).toEqual({ count: MAX_RECEIPTS, oldest: start - DAY_MS + 251 });
      // Nothing is looked through again and again.
      expect(await storage.getAlarm()).toBeGreaterThan(start + 9 * 60_000);
    });
  });

  test.each([{}, { all: false }, { job_id: "job_x" }, { all: true, user_id: "u" }])(
    "of %j is refused",
    async (scope) => {
      const { order, orders } = await ready();
      expect(await codeOf(await order(scope))).toBe("invalid_request");
      expect(orders()).toEqual([]);
    },
  );
});

function rowOf(draft: ReturnType<typeof draftOf>) {
  return {
    id: draft.id,
    kind: draft.kind,
    status: "succeeded",
    region: "us-east",
    priority: "standard",
    epoch: { dispatch: 1, attempt: 1 },
    user_id: null,
    error_code: null,
    audio_duration_s: null,
    created_at: draft.created_at,
    started_at: null,
    finished_at: null,
    usd: 0,
  };
}

import { describe, expect, test } from "vitest";
import { createEdgeJobCursor } from "../../shared/signing/job-cursor.ts";
import { JobList } from "../../shared/contracts/api.ts";
import { mintJobId, readId } from "../../shared/contracts/ids.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

/** A tenant with rows in the database and jobs in the ledger, made at the given moments. */
async function ready() {
  const edge = startEdge();
  const tenant = newTenant("list");
  const key = await edge.regions.addKey({ tenant_id: tenant });
  const began = Date.now() - 3_600_000;
  const rows: ReturnType<typeof rowOf>[] = [];
  const idAt = (at: number, region = "us-east") =>
    mintJobId(findRegion(region)!, {
      now: () => began + at,
      randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    });
  async function inLedger(
    id: string,
    { final = false, userId = undefined as string | undefined } = {},
  ) {
    const region = readId(id)!.region.id;
    const created_at = new Date(readId(id)!.createdAtMs).toISOString();
    const draft = {
      ...draftOf(tenant, region),
      id,
      created_at,
      ...(userId ? { user_id: userId } : {}),
    };
    const shard = shardOf(draft);
    await shard.reserve(draft, region);
    await shard.accept(id, 1);
    if (final) await shard.complete([offerOf(draft, { dispatch: 1, attempt: 1 }, { region })]);
    return id;
  }
  const inDatabase = (id: string) => void rows.push(rowOf(id));
  // As a region answers: by the cursor's place, newest first, with a cursor of its own where there are more.
  edge.regions.on("GET /internal/jobs", async ({ query }) => {
    const cursors = createEdgeJobCursor({ tenantId: tenant });
    const cursor = query.get("cursor");
    const after = cursor === null ? undefined : await cursors.read(cursor);
    const limit = Number(query.get("limit"));
    const rest = rows
      .toSorted((a, b) => compare(placeOf(b.id), placeOf(a.id)))
      .filter(({ id }) => !after || compare(placeOf(id), [after.createdAtMs, after.id]) < 0);
    const last = rest[limit - 1];
    const next = rest.length > limit && last;
    return {
      data: rest.slice(0, limit),
      next_cursor: next
        ? await cursors.write({ id: last.id, createdAtMs: readId(last.id)!.createdAtMs })
        : null,
    };
  });
  const page = async (query = "") => {
    const answer = await edge.call(`/v1/jobs${query}`, { key });
    expect(answer.status).toBe(200);
    return JobList.parse(await answer.json());
  };
  async function pages(limit: number): Promise<string[][]> {
    const all: string[][] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const { data, next_cursor }: JobList = await page(
        `?limit=${limit}${cursor && `&cursor=${cursor}`}`,
      );
      all.push(data.map(({ id }) => id));
      cursor = next_cursor;
    }
    return all;
  }
  return { ...edge, key, idAt, inLedger, inDatabase, page, pages };
}
const placeOf = (id: string): [number, string] => [readId(id)!.createdAtMs, id];
const compare = (a: [number, string], b: [number, string]) =>
  a[0] !== b[0] ? a[0] - b[0] : a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0;

describe("the list of jobs", () => {
  test("has at once what was accepted, and each job once", async () => {
    const { idAt, inLedger, inDatabase, page } = await ready();
    const old = idAt(0);
    const ended = await inLedger(idAt(1), { final: true });
    const open = await inLedger(idAt(2, "eu-west"));
    for (const id of [old, ended]) inDatabase(id);
    const { data, next_cursor } = await page();
    expect(data.map(({ id, status }) => [id, status])).toEqual([
      [open, "queued"],
      [ended, "succeeded"],
      [old, "succeeded"],
    ]);
    expect(next_cursor).toBeNull();
  });

  test.each([1, 2, 3, 7])(
    "is the same by pages of %i, whatever has a row already",
    async (limit) => {
      const { idAt, inLedger, inDatabase, pages } = await ready();
      const ids: string[] = [];
      for (let at = 0; at < 12; at++) {
        // Some of one moment, from two regions.
        const id = idAt(Math.floor(at / 2), at % 2 === 0 ? "us-east" : "ap-south");
        ids.push(id);
        if (at % 3 !== 0) await inLedger(id, { final: at % 3 === 1 });
        if (at % 3 !== 2) inDatabase(id);
      }
      const read = await pages(limit);
      expect(read.flat()).toEqual(ids.toSorted((a, b) => compare(placeOf(b), placeOf(a))));
      expect(read.slice(0, -1).every((each) => each.length === limit)).toBe(true);
    },
  );

  test("of one end user is theirs alone", async () => {
    const { idAt, inLedger, page, regions } = await ready();
    regions.on("GET /internal/jobs", () => ({ data: [], next_cursor: null }));
    const mine = await inLedger(idAt(1), { userId: "mine" });
    await inLedger(idAt(2), { userId: "yours" });
    await inLedger(idAt(3));
    expect((await page("?user_id=mine")).data.map(({ id }) => id)).toEqual([mine]);
  });

  test("takes no cursor that was tampered with, or is of another list", async () => {
    const { idAt, inLedger, page, call, key } = await ready();
    for (const at of [1, 2]) await inLedger(idAt(at));
    const { next_cursor } = await page("?limit=1");
    const [body, tag] = next_cursor!.split(".") as [string, string];
    const forged = body.startsWith("W") ? `X${body.slice(1)}` : `W${body.slice(1)}`;
    for (const cursor of [
      `${forged}.${tag}`,
      `${body}.${"A".repeat(16)}`,
      body,
      "x",
      `${next_cursor}x`,
    ]) {
      expect(await codeOf(await call(`/v1/jobs?cursor=${cursor}`, { key }))).toBe(
        "invalid_request",
      );
    }
    const other = `/v1/jobs?user_id=u&cursor=${next_cursor}`;
    expect(await codeOf(await call(other, { key }))).toBe("invalid_request");
  });
});

test("a token of consistency goes to the region and comes back from it", async () => {
  const { call, key, regions } = await ready();
  regions.on("GET /internal/jobs", ({ headers }) =>
    Response.json(
      { data: [], next_cursor: null },
      { headers: { "x-antiphon-consistency": `after-${headers.get("x-antiphon-consistency")}` } },
    ),
  );
  const answer = await call("/v1/jobs", { key, headers: { "x-antiphon-consistency": "token" } });
  expect(answer.headers.get("x-antiphon-consistency")).toBe("after-token");
});

function rowOf(id: string) {
  const created_at = new Date(readId(id)!.createdAtMs).toISOString();
  return {
    id,
    kind: "analysis",
    status: "succeeded",
    region: readId(id)!.region.id,
    priority: "standard",
    epoch: { dispatch: 1, attempt: 1 },
    user_id: null,
    error_code: null,
    audio_duration_s: null,
    created_at,
    started_at: null,
    finished_at: null,
    usd: 0,
  };
}

import { describe, expect, test } from "vitest";
import {
  DeadLetter,
  DeadLetterList,
  DiscardedDeadLetters,
  ReplayedDeadLetters,
} from "../../shared/contracts/dead-letters.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { draftOf, shardOf } from "./support/jobs.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

const BASE = "/v1/admin/dead-letters";
const letterOf = (region: string, n: number, more: object = {}) => ({
  id: `${region}.${1000 + n}-0`,
  region,
  job_id: "job_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d",
  tenant_id: "ten_demo",
  epoch: { dispatch: 1, attempt: 3 },
  at: new Date().toISOString(),
  code: "job_attempts_exhausted",
  reason: "the worker stopped answering",
  ...more,
});

async function ready() {
  const edge = startEdge();
  const key = await edge.regions.addKey({ tenant_id: newTenant("operator"), scopes: ["admin"] });
  const post = (what: string, body: unknown) => edge.call(`${BASE}/${what}`, { key, body });
  /** Each region's letters by number, in pages as they are asked for. */
  const holds = (letters: Record<string, number[]>, more: (n: number) => object = () => ({})) =>
    edge.regions.on("POST /internal/dead-letters/list", ({ region, body }) => {
      const after =
        body["after"] === undefined
          ? 0
          : Number(/\.(\d+)/.exec(body["after"] as string)![1]) - 1000;
      const own = (letters[region] ?? []).filter((n) => n > after);
      const page = own.slice(0, Number(body["limit"]));
      return {
        data: page.map((n) => letterOf(region, n, more(n))),
        more: own.length > page.length,
      };
    });
  return { ...edge, key, post, holds };
}

describe("the list of dead letters", () => {
  test("goes through all regions page by page, and misses and repeats none", async () => {
    const { call, key, holds } = await ready();
    holds({ "us-east": [1, 2, 3], "eu-west": [], "ap-south": [1, 2] });
    const seen: string[] = [];
    let path: string | undefined = `${BASE}?limit=2`;
    while (path) {
      const page = DeadLetterList.parse(await (await call(path, { key })).json());
      expect(page.data.length).toBeLessThanOrEqual(2);
      seen.push(...page.data.map(({ id }) => id));
      path = page.next_cursor === null ? undefined : `${BASE}?limit=2&cursor=${page.next_cursor}`;
    }
    expect(seen.toSorted()).toEqual(
      [
        "us-east.1001-0",
        "us-east.1002-0",
        "us-east.1003-0",
        "ap-south.1001-0",
        "ap-south.1002-0",
      ].toSorted(),
    );
    expect(new Set(seen).size).toBe(5);
  });

  test("names the regions that did not answer, and shows the others'", async () => {
    const { call, key, regions, holds } = await ready();
    holds({ "us-east": [1], "eu-west": [1] });
    regions.down.add("us-east");
    const page = DeadLetterList.parse(await (await call(BASE, { key })).json());
    expect(page.away).toEqual(["us-east"]);
    expect(page.data.map(({ region }) => region)).toEqual(["eu-west"]);
    const one = await call(`${BASE}?region=eu-west`, { key });
    expect(DeadLetterList.parse(await one.json())).toMatchObject({ away: [], data: [{}] });
    expect(await codeOf(await call(`${BASE}?region=mars`, { key }))).toBe("invalid_request");
  });

  test("and all that is done with it is for operators alone", async () => {
    const { call, regions } = await ready();
    const client = await regions.addKey({ tenant_id: newTenant(), scopes: ["analyze", "speak"] });
    const answers = await Promise.all([
      call(BASE, { key: client }),
      call(`${BASE}/us-east.1001-0`, { key: client }),
      call(`${BASE}/replay`, { key: client, body: { all: true } }),
      call(`${BASE}/discard`, { key: client, body: { all: true } }),
    ]);
    for (const answer of answers) expect(await codeOf(answer)).toBe("insufficient_scope");
    expect(regions.requests.filter(({ path }) => path.includes("dead-letters"))).toEqual([]);
  });
});

test("one letter is asked of the region that its id names", async () => {
  const { call, key, regions } = await ready();
  const letter = { ...letterOf("eu-west", 7), history: [], spec: null };
  regions.on("POST /internal/dead-letters/read", ({ region, body }) => {
    if (region !== "eu-west" || body["id"] !== letter.id) throw new ApiError("not_found");
    return letter;
  });
  const answer = await call(`${BASE}/${letter.id}`, { key });
  expect(DeadLetter.parse(await answer.json())).toEqual(letter);
  for (const id of ["us-east.1-0", "mars.1-0", "nonsense"]) {
    expect(await codeOf(await call(`${BASE}/${id}`, { key }))).toBe("not_found");
  }
});

describe("a replay", () => {
  /** Regions that keep the first mark on each letter, and the jobs that were submitted. */
  async function replaying() {
    const bench = await ready();
    const tenant = newTenant();
    const old = { ...draftOf(tenant, "eu-west"), metadata: { a: "b" }, user_id: "u-1" };
    const spec = {
      ...old,
      dispatch: 2,
      created_at: "2026-01-01T00:00:00.000Z",
      deadline_at: "2026-01-01T00:10:00.000Z",
    };
    const marks = new Map<string, string>();
    bench.regions.on("POST /internal/dead-letters/replay", ({ body }) => {
      const id = String(body["id"]);
      marks.set(id, marks.get(id) ?? String(body["job_id"]));
      return { replayed_as: marks.get(id), tenant_id: tenant, spec };
    });
    const submitted = () =>
      bench.regions.asked("/internal/jobs").map(({ region, body }) => ({ region, body }));
    return { ...bench, tenant, spec, marks, submitted };
  }

  test("is a new job of the same work for the same tenant, and repeating it makes no other", async () => {
    const { post, tenant, spec, marks, submitted } = await replaying();
    const picked = { ids: ["eu-west.1001-0"] };
    const answer = ReplayedDeadLetters.parse(await (await post("replay", picked)).json());
    const id = marks.get("eu-west.1001-0")!;
    expect(answer.data).toEqual([{ id: "eu-west.1001-0", replayed_as: id }]);
    expect(id).not.toBe(spec.id);
    expect(submitted()).toHaveLength(1);
    const [{ region, body }] = submitted() as [{ region: string; body: Record<string, string> }];
    expect(region).toBe("eu-west");
    expect(body).toMatchObject({
      id,
      dispatch: 1,
      tenant_id: tenant,
      parts: spec.parts,
      upload_id: spec.upload_id,
      metadata: { a: "b" },
      user_id: "u-1",
    });
    // As long as it had, from now on.
    expect(Date.parse(body["deadline_at"]!) - Date.parse(body["created_at"]!)).toBe(600_000);
    expect(Math.abs(Date.parse(body["created_at"]!) - Date.now())).toBeLessThan(60_000);
    expect(await shardOf({ id, tenant_id: tenant }).status(id)).toMatchObject({
      state: "accepted",
    });

    const again = ReplayedDeadLetters.parse(await (await post("replay", picked)).json());
    expect(again.data).toEqual(answer.data);
    expect(submitted()).toHaveLength(1);
  });

  test("of a letter whose job no region took goes on where it stopped", async () => {
    const { regions, post, marks, submitted } = await replaying();
    const picked = { ids: ["eu-west.1001-0"] };
    regions.refuse("POST /internal/jobs", "upload_not_found");
    const refused = ReplayedDeadLetters.parse(await (await post("replay", picked)).json());
    expect(refused.data).toMatchObject([{ error: { code: "upload_not_found" } }]);
    regions.on("POST /internal/jobs", ({ body }) =>
      Response.json(
        { job_id: body["id"], dispatch: body["dispatch"], duplicate: false, queue_position: 0 },
        { status: 202 },
      ),
    );
    const done = ReplayedDeadLetters.parse(await (await post("replay", picked)).json());
    expect(done.data).toEqual([{ id: "eu-west.1001-0", replayed_as: marks.get("eu-west.1001-0") }]);
    expect(submitted().at(-1)!.body["id"]).toBe(marks.get("eu-west.1001-0"));
  });

  test("of all takes those that were not replayed yet, a page at a time; one that cannot be is told of", async () => {
    const { regions, post, holds, marks } = await replaying();
    const numbers = Array.from({ length: 23 }, (_, i) => i + 1);
    holds({ "eu-west": numbers }, (n) => (n === 2 ? { replayed_as: "job_before" } : {}));
    const first = ReplayedDeadLetters.parse(
      await (await post("replay", { all: true, region: "eu-west" })).json(),
    );
    expect(first.data).toHaveLength(19);
    const rest = { all: true, region: "eu-west", cursor: first.next_cursor! };
    const last = ReplayedDeadLetters.parse(await (await post("replay", rest)).json());
    expect([last.data.length, last.next_cursor]).toEqual([3, null]);
    expect(marks.size).toBe(22);
    expect(marks.has("eu-west.1002-0")).toBe(false);

    regions.refuse("POST /internal/dead-letters/replay", "not_replayable");
    const refused = await post("replay", { ids: ["eu-west.1001-0", "mars.1-0"] });
    expect(ReplayedDeadLetters.parse(await refused.json()).data).toMatchObject([
      { error: { code: "not_replayable" } },
      { error: { code: "not_found" } },
    ]);
    expect(await codeOf(await post("replay", {}))).toBe("invalid_request");
  });
});

test("letters are discarded in the regions that hold them, and an absent region is named", async () => {
  const { regions, post } = await ready();
  regions.on("POST /internal/dead-letters/discard", ({ body }) => ({
    discarded: Array.isArray(body["ids"]) ? body["ids"].length : 5,
  }));
  const ids = ["us-east.1-0", "us-east.2-0", "ap-south.1-0"];
  const some = DiscardedDeadLetters.parse(await (await post("discard", { ids })).json());
  expect(some).toEqual({ discarded: 3, away: [] });
  // For the audit log: who asked.
  const [first] = regions.asked("/internal/dead-letters/discard");
  const known = Array.from(regions.keys.values(), ({ key_id }) => key_id);
  expect(known).toContain(first!.headers.get("x-antiphon-actor"));
  expect(
    regions.asked("/internal/dead-letters/discard").map(({ region, body }) => [region, body]),
  ).toEqual([
    ["us-east", { ids: ["us-east.1-0", "us-east.2-0"] }],
    ["ap-south", { ids: ["ap-south.1-0"] }],
  ]);
  regions.down.add("eu-west");
  const all = DiscardedDeadLetters.parse(await (await post("discard", { all: true })).json());
  expect(all).toEqual({ discarded: 10, away: ["eu-west"] });
});

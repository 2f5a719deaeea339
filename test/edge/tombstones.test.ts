import { env, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { createEdgeTombstones, type EdgeTombstonesOptions } from "../../edge/deliver/tombstones.ts";
import { createDeletionMarks, type MarkPage } from "../../edge/ledger/deletion-marks.ts";
import { createDeletionsClient, type DeletionsClient } from "../../edge/ledger/deletions-client.ts";
import type { Deletions } from "../../edge/ledger/deletions.ts";
import {
  coversJob,
  mintDeletionId,
  type DeletionScope,
  type JobIdentity,
} from "../../shared/contracts/deletions.ts";
import { newTenant } from "./support/start-edge.ts";

const namespace = (env as unknown as { DELETIONS: DurableObjectNamespace<Deletions> }).DELETIONS;
const FRESH_MS = 5_000;
const HOUR_MS = 3_600_000;
/** A link that ends then was made at 0. */
const LINK_MS = 5_400_000;

type Deletion = { id: string; scope: DeletionScope; requestedAtMs: number };
type Mark = ReturnType<typeof createDeletionMarks>;

/** A tenant's real object, and what its readers were sent. */
function startTenant() {
  const owner = { tenantId: newTenant("marks"), residency: "global" as const };
  const object = namespace.get(namespace.idFromName(owner.tenantId));
  const real = createDeletionsClient(namespace, { jurisdictions: false });
  const pages: MarkPage[] = [];
  let asked = 0;
  const client: Pick<DeletionsClient, "recent" | "named"> = {
    async recent(of, cursor) {
      const page = await real.recent(of, cursor);
      pages.push(page);
      return page;
    },
    async named(of, names) {
      asked++;
      return real.named(of, names);
    },
  };
  return {
    owner,
    object,
    client,
    /** In the object, as it marks what it deletes. */
    mark: (act: (marks: Mark) => void) =>
      runInDurableObject(object, (_object, { storage }) => act(createDeletionMarks(storage.sql))),
    /** Everything it had on disk is gone. */
    loseDisks: () =>
      runInDurableObject(object, (_object, { storage }) => {
        storage.sql.exec("DROP TABLE marks; DROP TABLE mark_log");
      }),
    takePages: () => pages.splice(0),
    takeAsked: () => {
      const count = asked;
      asked = 0;
      return count;
    },
  };
}
type Tenant = ReturnType<typeof startTenant>;

const shaOf = (n: number) => n.toString(16).padStart(64, "0");
const deletionOf = (scope: DeletionScope, requestedAtMs: number): Deletion => ({
  id: mintDeletionId(),
  scope,
  requestedAtMs,
});
const idsOf = (jobs: readonly JobIdentity[]) => jobs.map(({ id }) => id);
async function deletedOf(
  tombstones: ReturnType<typeof createEdgeTombstones>,
  { owner }: Tenant,
  jobs: readonly JobIdentity[],
) {
  return [...(await (await tombstones.ofJobs(owner))(jobs))];
}

describe("what the edge knows of deletions", () => {
  test("comes once: a reader that asks again is sent what is new, by the page", async () => {
    const tenant = startTenant();
    let now = 1_000;
    const tombstones = createEdgeTombstones(tenant.client, { now: () => now });
    const many = Array.from({ length: 6_000 }, (_, n) => ({ id: `many-${n}`, sha256: shaOf(n) }));
    const first = deletionOf({ user_id: "u" }, 900);
    await tenant.mark((marks) => {
      marks.made(first);
      marks.found(first, many);
    });
    const jobs = [...many, { id: "late" }, { id: "never" }].map(({ id }) => ({
      id,
      createdAtMs: 950,
    }));
    expect(await deletedOf(tombstones, tenant, jobs)).toEqual(many.map(({ id }) => id));
    expect(tenant.takePages().map(({ marks }) => marks.length)).toEqual([5_000, 5_000, 2_001]);

    await tenant.mark((marks) => marks.made(deletionOf({ job_id: "late" }, 1_100)));
    now += FRESH_MS - 1;
    expect(await deletedOf(tombstones, tenant, jobs)).not.toContain("late");
    expect(tenant.takePages()).toEqual([]);
    now += 1;
    await evictDurableObject(tenant.object);
    expect(await deletedOf(tombstones, tenant, jobs)).toContain("late");
    expect(tenant.takePages().map(({ marks }) => marks)).toEqual([[["job:late", 1_100]]]);
    // What this isolate deletes is seen at once.
    await tenant.mark((marks) => marks.made(deletionOf({ job_id: "never" }, 1_200)));
    tombstones.forget(tenant.owner);
    expect(await deletedOf(tombstones, tenant, jobs)).toEqual(idsOf(jobs));
    expect(tenant.takePages()).toHaveLength(1);
    // What nobody needs any more is not read anew.
    await tenant.mark((marks) => marks.forget(first.id));
    now += HOUR_MS;
    expect((await deletedOf(tombstones, tenant, jobs)).toSorted()).toEqual(["late", "never"]);
    expect(tenant.takePages().map(({ marks }) => marks.length)).toEqual([2]);
  });

  test("has a deletion of this isolate that came while it was reading", async () => {
    const tenant = startTenant();
    let inTheMiddle = async () => {};
    const tombstones = createEdgeTombstones(
      {
        ...tenant.client,
        async recent(owner, cursor) {
          const page = await tenant.client.recent(owner, cursor);
          await inTheMiddle();
          return page;
        },
      },
      { now: () => 1_000 },
    );
    inTheMiddle = async () => {
      await tenant.mark((marks) => marks.made(deletionOf({ job_id: "late" }, 1_000)));
      tombstones.forget(tenant.owner);
      inTheMiddle = async () => {};
    };
    const jobs = [{ id: "late", createdAtMs: 950 }];
    expect(await deletedOf(tombstones, tenant, jobs)).toEqual([]);
    expect(await deletedOf(tombstones, tenant, jobs)).toEqual(["late"]);
  });

  test("has what its object has, though that loses its disks while it is read by two at once", async () => {
    const tenant = startTenant();
    let now = 1_000;
    const waits = [Promise.withResolvers<void>()];
    const tombstones = createEdgeTombstones(
      {
        ...tenant.client,
        async recent(owner, cursor) {
          await waits.pop()?.promise;
          return tenant.client.recent(owner, cursor);
        },
      },
      { now: () => now },
    );
    const [first] = waits;
    const idle = createEdgeTombstones(tenant.client, { now: () => now });
    const add = (ids: readonly string[]) =>
      tenant.mark((marks) => ids.forEach((id) => marks.made(deletionOf({ job_id: id }, 900))));
    const jobs = ["a", "b", "c", "d"].map((id) => ({ id, createdAtMs: 950 }));
    await add(["old-1", "old-2", "old-3"]);
    await deletedOf(idle, tenant, jobs);
    const slow = deletedOf(tombstones, tenant, jobs);
    await deletedOf(tombstones, tenant, jobs);
    await tenant.loseDisks();
    await evictDurableObject(tenant.object);
    await add(["a"]);
    first!.resolve();
    expect(await slow).toEqual(["a"]);
    await add(["b", "c", "d"]);
    now += FRESH_MS;
    expect(await deletedOf(tombstones, tenant, jobs)).toEqual(idsOf(jobs));
    expect(await deletedOf(idle, tenant, jobs)).toEqual(idsOf(jobs));
    // Put back to an earlier time.
    await runInDurableObject(tenant.object, (_object, { storage }) => {
      storage.sql.exec("DELETE FROM marks; UPDATE sqlite_sequence SET seq = 0");
    });
    await add(["e"]);
    now += FRESH_MS;
    expect(await deletedOf(idle, tenant, [{ id: "e", createdAtMs: 950 }])).toEqual(["e"]);
  });

  test("takes up bounded room: of a tenant with too much its object is asked, and who was not asked about for longest goes", async () => {
    const [large, ...small] = [startTenant(), startTenant(), startTenant()];
    const owners = new Map([large, ...small].map((tenant) => [tenant.owner.tenantId, tenant]));
    const client: Pick<DeletionsClient, "recent" | "named"> = {
      recent: (owner, cursor) => owners.get(owner.tenantId)!.client.recent(owner, cursor),
      named: (owner, names) => owners.get(owner.tenantId)!.client.named(owner, names),
    };
    const limits = { mostMarks: 30, mostMarksOfTenant: 20 };
    const tombstones = createEdgeTombstones(client, { now: () => 1_000, ...limits });
    const some = (count: number) => Array.from({ length: count }, (_, n) => ({ id: `j-${n}` }));
    const fill = (tenant: Tenant, count: number) =>
      tenant.mark((marks) => marks.found(deletionOf({ user_id: "u" }, 900), some(count)));
    await fill(large, 21);
    for (const tenant of small) await fill(tenant, 20);
    const look = async (tenant: Tenant, count: number) => {
      const jobs = some(count + 1).map(({ id }) => ({ id, createdAtMs: 950 }));
      expect(await deletedOf(tombstones, tenant, jobs)).toEqual(idsOf(jobs.slice(0, -1)));
      return [tenant.takePages().length, tenant.takeAsked()];
    };
    expect(await look(large, 21)).toEqual([1, 1]);
    expect(await look(large, 21)).toEqual([0, 1]);
    expect(await look(small[0]!, 20)).toEqual([1, 0]);
    expect(await look(small[0]!, 20)).toEqual([0, 0]);
    expect(await look(small[1]!, 20)).toEqual([1, 0]);
    expect(await look(small[1]!, 20)).toEqual([0, 0]);
    expect(await look(small[0]!, 20)).toEqual([1, 0]);
    const narrow = createEdgeTombstones(client, { now: () => 1_000, mostTenants: 2 });
    const empty = [startTenant(), startTenant(), startTenant()];
    for (const tenant of empty) owners.set(tenant.owner.tenantId, tenant);
    for (const tenant of [...empty, empty[2]!, empty[1]!, empty[0]!]) {
      expect(await deletedOf(narrow, tenant, [{ id: "j", createdAtMs: 950 }])).toEqual([]);
    }
    expect(empty.map((tenant) => tenant.takePages().length)).toEqual([2, 1, 1]);
  });

  test("of an object of an earlier form is what that has deleted", async () => {
    const tenant = startTenant();
    const job = { id: "job_a", createdAtMs: 950 };
    await runInDurableObject(tenant.object, (_object, { storage }) => {
      storage.sql.exec("DROP TABLE marks; DROP TABLE mark_log");
      storage.sql.exec(
        "INSERT INTO deletions (id, tenant_id, residency, scope, requested_at) VALUES ('del_a', 'ten', 'global', ?, 900)",
        JSON.stringify({ user_id: "u" }),
      );
      for (const region of ["us-east", "eu-west"]) {
        const jobs = JSON.stringify([{ id: job.id, sha256: shaOf(1) }]);
        storage.sql.exec("INSERT INTO parts VALUES ('del_a', 'del_a', ?, ?, NULL)", region, jobs);
      }
    });
    await evictDurableObject(tenant.object);
    const tombstones = createEdgeTombstones(tenant.client, { now: () => 1_000 });
    const others = [
      { id: "job_b", createdAtMs: 900, userId: "u" },
      { id: "job_c", createdAtMs: 901, userId: "u" },
    ];
    expect(await deletedOf(tombstones, tenant, [job, ...others])).toEqual(["job_a", "job_b"]);
    expect(tenant.takePages().map(({ marks }) => marks.length)).toEqual([3]);
  });

  /*
   * Deletions of all kinds, read by two isolates and by several requests of each at once, while objects and isolates start anew, and one object
   * loses its disks. What was deleted is held against the plain list of deletions.
   */
  const roomy: EdgeTombstonesOptions = {};
  const tight: EdgeTombstonesOptions = { mostMarks: 50, mostMarksOfTenant: 40, mostTenants: 1 };
  test.each([
    { seed: 1, room: roomy },
    { seed: 2, room: roomy },
    { seed: 3, room: tight },
    { seed: 4, room: tight },
  ])("is never less than was deleted, nor more (seed $seed)", async ({ seed, room }) => {
    const random = seeded(seed);
    const pick = (below: number) => Math.floor(random() * below);
    let now = 10 * LINK_MS;
    const tenants = [startTenant(), startTenant()];
    const plain = new Map(tenants.map((tenant) => [tenant, [] as Deletion[]]));
    const known = new Map(
      tenants.map((tenant) => [tenant, [] as (JobIdentity & { sha256: string })[]]),
    );
    const hashes = new Map(tenants.map((tenant) => [tenant, new Map<string, number>()]));
    const open = () =>
      createEdgeTombstones(
        {
          recent: async (owner, cursor) => {
            const page = await tenants
              .find((tenant) => tenant.owner === owner)!
              .client.recent(owner, cursor);
            if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, 1));
            return page;
          },
          named: (owner, names) =>
            tenants.find((tenant) => tenant.owner === owner)!.client.named(owner, names),
        },
        { now: () => now, ...room },
      );
    const isolates = [open(), open()];
    let made = 0;
    let checked = 0;

    async function remove(tenant: Tenant): Promise<void> {
      const jobs = known.get(tenant)!;
      const kind = random();
      const one = jobs[pick(jobs.length)];
      const scope: DeletionScope =
        kind < 0.05
          ? { all: true }
          : kind < 0.4 || !one
            ? { user_id: `u-${pick(8)}` }
            : { job_id: one.id };
      const deletion = deletionOf(scope, now);
      const order = { scope, requested_at: new Date(now).toISOString() };
      const gone = jobs.filter((job) => coversJob(order, job));
      plain.get(tenant)!.push(deletion);
      for (const { sha256 } of gone) hashes.get(tenant)!.set(sha256, now);
      await tenant.mark((marks) => {
        marks.made(deletion);
        for (const half of [gone.slice(0, 3), gone.slice(3)]) marks.found(deletion, half);
      });
    }

    async function look(tenant: Tenant, tombstones: (typeof isolates)[number]): Promise<void> {
      const jobs = known.get(tenant)!;
      const wanted = plain.get(tenant)!;
      const gone = jobs.filter((job) =>
        wanted.some(({ scope, requestedAtMs }) =>
          coversJob({ scope, requested_at: new Date(requestedAtMs).toISOString() }, job),
        ),
      );
      // A row need not say whose job it was: its name has to do.
      const rows = jobs.map((job) => (random() < 0.3 ? { ...job, userId: null } : job));
      const everything = wanted.findLast(({ scope }) => "all" in scope)?.requestedAtMs ?? 0;
      const { sha256 } = jobs[pick(jobs.length)] ?? { sha256: shaOf(0) };
      const made = now - pick(60_000);
      const until = Math.max(hashes.get(tenant)!.get(sha256) ?? 0, everything);
      expect(await deletedOf(tombstones, tenant, rows)).toEqual(idsOf(gone));
      const covers = await tombstones.coversAudio(tenant.owner, sha256, made + LINK_MS);
      expect(covers).toBe(made <= until);
      checked += jobs.length;
    }

    for (let step = 0; step < 70; step++) {
      const tenant = tenants[pick(2)]!;
      for (let n = pick(4); n >= 0; n--) {
        const id = `job-${++made}`;
        known
          .get(tenant)!
          .push({ id, createdAtMs: now, userId: `u-${pick(8)}`, sha256: shaOf(pick(60)) });
      }
      now += 1;
      const deletes = random() < 0.5;
      if (deletes) await remove(tenant);
      const dice = random();
      if (dice < 0.05) await evictDurableObject(tenant.object);
      else if (dice < 0.1) isolates[pick(2)] = open();
      else if (dice < 0.13) now += HOUR_MS;
      else if (dice < 0.15) {
        await tenant.loseDisks();
        plain.get(tenant)!.length = 0;
        known.get(tenant)!.length = 0;
        hashes.get(tenant)!.clear();
        await evictDurableObject(tenant.object);
        await remove(tenant);
      }
      // Either the isolate has deleted it itself, or it may be five seconds behind.
      const mine = isolates[pick(2)]!;
      mine.forget(tenant.owner);
      await Promise.all([look(tenant, mine), look(tenant, mine)]);
      now += FRESH_MS;
      const any = isolates[pick(2)]!;
      await Promise.all(tenants.map((each) => look(each, any)));
    }
    expect(checked).toBeGreaterThan(2_000);
  });
});

/** mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

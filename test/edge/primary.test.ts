import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import type { PrimaryLease } from "../../edge/primary/primary-lease.ts";
import { PrimaryOrder, PrimaryStatus, type PrimaryReport } from "../../shared/contracts/primary.ts";
import { SIGNATURE_HEADER, signLinkRequest } from "../../shared/signing/link-signature.ts";
import { linkSecretOf } from "./support/bindings.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

const PATH = "/internal/primary";
const report = (role: PrimaryReport["role"], lsn = "0/100"): PrimaryReport => ({
  role,
  position: { timeline: 1, lsn },
  trimmed: null,
});

/** An edge, an operator, and a lease whose clock stands still until it is moved. */
async function ready(takeover: "automatic" | "manual" = "automatic") {
  const edge = startEdge({ PRIMARY_TAKEOVER: takeover });
  const admin = await edge.regions.addKey({ tenant_id: newTenant(), scopes: ["admin"] });
  const namespace = edge.bindings.PRIMARY_LEASE as DurableObjectNamespace<PrimaryLease>;
  const lease = namespace.get(namespace.idFromName("primary"));
  let nowMs = Date.now();
  await runInDurableObject(lease, async (object, { storage }) => {
    await storage.deleteAll();
    object.forget();
    object.now = () => nowMs;
  });
  async function send(region: string, body: unknown, secret = linkSecretOf(region)) {
    const text = JSON.stringify(body);
    const request = { method: "POST", target: PATH, body: text, audience: "edge" };
    const signature = await signLinkRequest(secret, request, Date.now());
    const headers = { "antiphon-region": region, [SIGNATURE_HEADER]: signature };
    return edge.call(PATH, { body: text, headers });
  }
  /** A keeper says with each report what it was answered last. */
  const heard: Record<string, number | undefined> = {};
  async function order(region: string, body: PrimaryReport): Promise<PrimaryOrder> {
    const report = { ...body, after_ms: heard[region] ?? null };
    const answer = PrimaryOrder.parse(await (await send(region, report)).json());
    heard[region] = answer.at_ms;
    return answer;
  }
  return {
    ...edge,
    admin,
    send,
    lease,
    wait: (ms: number) => void (nowMs += ms),
    order,
    status: async () =>
      PrimaryStatus.parse(await (await edge.call("/v1/admin/primary", { key: admin })).json()),
  };
}

test("an operator hands the primary over, and sees it go", async () => {
  const { call, admin, order, status } = await ready("manual");
  expect(await order("us-east", report("primary"))).toMatchObject({ do: "keep", term: 1 });
  await order("eu-west", report("replica"));
  const body = { region: "eu-west" };
  const asked = await call("/v1/admin/primary", { key: admin, body });
  expect(asked.status).toBe(202);
  expect(await asked.json()).toMatchObject({ holder: "us-east", handing_over_to: "eu-west" });
  expect((await order("us-east", report("primary"))).do).toBe("hand_over");
  await order("us-east", report("stopped", "0/200"));
  expect((await order("eu-west", report("replica", "0/200"))).do).toBe("take_over");
  expect(await status()).toMatchObject({
    holder: "eu-west",
    term: 2,
    handing_over_to: null,
    history: [
      { term: 1, holder: "us-east" },
      { term: 2, holder: "eu-west" },
    ],
  });
});

test.each([
  ["automatic", "take_over"],
  ["manual", "follow"],
] as const)("with take-over %s a lost primary is replaced, or waited for", async (how, what) => {
  const { order, wait, status } = await ready(how);
  await order("us-east", report("primary"));
  for (let waited = 0; waited < 15_000; waited += 1_000) {
    expect((await order("eu-west", report("replica"))).do).toBe(waited < 13_000 ? "follow" : what);
    if ((await status()).holder === "eu-west") break;
    wait(1_000);
  }
  const { holder, regions } = await status();
  expect(holder).toBe(what === "take_over" ? "eu-west" : "us-east");
  expect(regions.map(({ region, role }) => [region, role])).toEqual([
    ["us-east", "primary"],
    ["eu-west", "replica"],
  ]);
});

test("only regions report, each for itself; only operators look and ask", async () => {
  const { call, admin, send, regions, status } = await ready();
  const forged = await send("us-east", report("primary"), linkSecretOf("eu-west"));
  expect(await codeOf(forged)).toBe("invalid_signature");
  expect(await codeOf(await call(PATH, { body: report("primary") }))).toBe("unsigned_request");
  expect(await codeOf(await send("us-east", { role: "king" }))).toBe("invalid_request");
  expect((await status()).holder).toBeNull();
  const client = await regions.addKey({ tenant_id: newTenant() });
  expect(await codeOf(await call("/v1/admin/primary", { key: client }))).toBe("insufficient_scope");
  const body = { region: "mars-north" };
  const nowhere = await call("/v1/admin/primary", { key: admin, body });
  expect(await codeOf(nowhere)).toBe("invalid_request");
});

test("an object that is started anew waits a whole lease for the holder, and remembers what outboxes rely on", async () => {
  const { order, wait, lease, status } = await ready();
  await order("us-east", { ...report("primary"), trimmed: { timeline: 1, lsn: "0/180" } });
  await order("eu-west", report("replica"));
  wait(9_000);
  await order("us-east", report("primary"));
  await runInDurableObject(lease, (object) => object.forget());
  for (let waited = 0; waited <= 14_000; waited += 1_000) {
    expect((await order("eu-west", report("replica", "0/17F"))).do).toBe("follow");
    wait(1_000);
  }
  const { regions } = await status();
  const west = regions.find(({ region }) => region === "eu-west");
  expect(west!.cannot_take_over).toContain("outbox of us-east");
  expect((await order("eu-west", report("replica", "0/180"))).do).toBe("take_over");
});

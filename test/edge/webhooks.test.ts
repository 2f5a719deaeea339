import { expect, test } from "vitest";
import { mintUploadId } from "../../shared/contracts/ids.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError, problemResponse } from "../../shared/errors/problem.ts";
import { codeOf, NEAR_MUMBAI, newTenant, problemOf, startEdge } from "./support/start-edge.ts";

const ENDPOINT = `whe_${"a".repeat(24)}`;
const DELIVERY = `whd_euw_${"b".repeat(32)}`;
const delivery = {
  id: DELIVERY,
  webhook_id: `msg_${"b".repeat(32)}`,
  event: "job.succeeded",
  job_id: "job_euw_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d",
  endpoint_id: ENDPOINT,
  region: "eu-west",
  status: "pending",
  attempts: 3,
  response_status: 500,
  error: "refused",
  last_attempt_at: "2026-11-21T10:00:00.000Z",
  next_attempt_at: "2026-11-21T11:00:00.000Z",
  created_at: "2026-11-21T09:00:00.000Z",
};

async function ready(more: object = {}) {
  const edge = startEdge();
  const tenant = newTenant();
  const key = await edge.regions.addKey({ tenant_id: tenant, ...more });
  edge.regions.on("POST /internal/webhooks/endpoints/create", ({ body }) => ({
    id: body["endpoint_id"],
    url: body["url"],
    events: body["events"],
    include_result: body["include_result"],
    status: "active",
    status_reason: null,
    status_since: "2026-11-21T10:00:00.000Z",
    created_at: "2026-11-21T10:00:00.000Z",
    secret: `whsec_of_${String(body["secret_id"])}`,
  }));
  edge.regions.on("POST /internal/webhooks/secrets/rotate", ({ body }) => ({
    secret: `whsec_of_${String(body["secret_id"])}`,
    previous_expire_at: "2026-11-22T10:00:00.000Z",
  }));
  edge.regions.on("POST /internal/webhooks/deliveries/redeliver", () => delivery);
  edge.regions.on("POST /internal/webhooks/deliveries/list", () => ({
    data: [delivery],
    next_cursor: "more",
  }));
  return { ...edge, tenant, key };
}

test("an endpoint is made once per idempotency key, for the caller's tenant, and its secret comes again", async () => {
  const { call, regions, tenant, key } = await ready();
  const options = {
    key,
    body: { url: "https://example.com/hook" },
    headers: { "idempotency-key": "one" },
  };
  const first = await call("/v1/webhook-endpoints", options);
  expect(first.status).toBe(201);
  const made = (await first.json()) as { id: string; secret: string };
  expect(await (await call("/v1/webhook-endpoints", options)).json()).toEqual(made);
  const asked = regions.asked("/internal/webhooks/endpoints/create");
  expect(asked).toHaveLength(1);
  expect(asked[0]!.body).toEqual({
    tenant_id: tenant,
    endpoint_id: made.id,
    secret_id: `whs${made.id.slice(3)}`,
    url: "https://example.com/hook",
    events: ["job.succeeded", "job.failed", "job.canceled"],
    include_result: false,
  });
});

test("what is no endpoint is told by its field, and strangers get nothing", async () => {
  const { call, regions, key } = await ready();
  const bodies = [
    [{ url: "ftp://example.com/" }, "url"],
    [{ url: "https://user:password@example.com/" }, "url"],
    [{ url: "https://example.com/#part" }, "url"],
    [{ url: `https://example.com/${"x".repeat(2048)}` }, "url"],
    [{ url: "https://example.com/", events: [] }, "events"],
    [{ url: "https://example.com/", events: ["job.started"] }, "events.0"],
    [{}, "url"],
  ] as const;
  for (const [body, field] of bodies) {
    const problem = await problemOf(await call("/v1/webhook-endpoints", { key, body }));
    expect([body, problem.code, problem.errors?.[0]?.path]).toEqual([
      body,
      "invalid_request",
      field,
    ]);
  }
  for (const path of ["/v1/webhook-endpoints/whe_x", "/v1/webhook-deliveries/whd_x"]) {
    expect(await codeOf(await call(path, { key }))).toBe("not_found");
  }
  expect(await codeOf(await call("/v1/webhook-endpoints"))).toBe("unauthenticated");
  const admin = await regions.addKey({ tenant_id: newTenant(), scopes: ["admin"] });
  expect(await codeOf(await call("/v1/webhook-endpoints", { key: admin }))).toBe(
    "insufficient_scope",
  );
  expect(regions.asked("/internal/webhooks/endpoints/create")).toEqual([]);
});

test("a secret is rotated under one id, however often the answer is asked for", async () => {
  const { call, regions, tenant, key } = await ready();
  const options = { key, body: { overlap_s: 60 }, headers: { "idempotency-key": "turn" } };
  const first = await (await call("/v1/webhook-secret/rotate", options)).json();
  expect(await (await call("/v1/webhook-secret/rotate", options)).json()).toEqual(first);
  await call(`/v1/webhook-endpoints/${ENDPOINT}/rotate`, { key, method: "POST" });
  const [own, ofEndpoint, ...others] = regions.asked("/internal/webhooks/secrets/rotate");
  expect(others).toEqual([]);
  expect(own!.body).toMatchObject({ tenant_id: tenant, overlap_s: 60 });
  expect(own!.body).not.toHaveProperty("endpoint_id");
  expect(ofEndpoint!.body).toMatchObject({ endpoint_id: ENDPOINT, overlap_s: 86_400 });
});

test("a delivery is sent again by the region that sent it, and by another permitted one while that is away", async () => {
  const { call, regions, tenant, key } = await ready();
  const path = `/v1/webhook-deliveries/${DELIVERY}/redeliver`;
  const response = await call(path, { method: "POST", key, cf: NEAR_MUMBAI });
  expect([response.status, await response.json()]).toEqual([202, delivery]);
  regions.down.add("eu-west");
  await call(path, { method: "POST", key, cf: NEAR_MUMBAI });
  const asked = regions.asked("/internal/webhooks/deliveries/redeliver");
  expect(asked.map(({ region }) => region)).toEqual(["eu-west", "ap-south"]);
  expect(asked[0]!.body).toEqual({ tenant_id: tenant, delivery_id: DELIVERY });

  const list = `/v1/webhook-deliveries?endpoint_id=${ENDPOINT}&status=pending&limit=7`;
  expect(await (await call(list, { key })).json()).toMatchObject({ next_cursor: "more" });
  expect(regions.asked("/internal/webhooks/deliveries/list")[0]!.body).toEqual({
    tenant_id: tenant,
    endpoint_id: ENDPOINT,
    status: "pending",
    limit: 7,
  });
  for (const query of ["limit=0", "status=lost", "endpoint_id=x"]) {
    expect(await codeOf(await call(`/v1/webhook-deliveries?${query}`, { key }))).toBe(
      "invalid_request",
    );
  }
});

test("a job's own webhook goes to its region with the job, and a region's refusal of it to the client", async () => {
  const { call, regions, key } = await ready();
  const body = {
    upload_id: mintUploadId(findRegion("us-east")!),
    webhook_url: "https://example.com/own",
    webhook_include_result: true,
  };
  expect((await call("/v1/analyses", { key, body })).status).toBe(202);
  expect(regions.asked("/internal/jobs")[0]!.body["webhook"]).toEqual({
    url: "https://example.com/own",
    include_result: true,
  });
  const without = { upload_id: body.upload_id };
  await call("/v1/analyses", { key, body: without });
  expect(regions.asked("/internal/jobs")[1]!.body).not.toHaveProperty("webhook");
  regions.on("POST /internal/jobs", () =>
    problemResponse(new ApiError("webhook_secret_missing"), "req_region"),
  );
  expect(await codeOf(await call("/v1/analyses", { key, body }))).toBe("webhook_secret_missing");
  const wrong = { ...without, webhook_url: "example.com" };
  const problem = await problemOf(await call("/v1/analyses", { key, body: wrong }));
  expect(problem.errors?.[0]?.path).toBe("webhook_url");
});

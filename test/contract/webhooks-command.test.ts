import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { webhooks, type WebhooksOptions } from "../../scripts/cli/webhooks.ts";

const ENDPOINT = {
  id: `whe_${"a".repeat(24)}`,
  url: "https://example.com/hook",
  events: ["job.failed"],
  include_result: false,
  status: "paused",
  status_reason: "every try failed for 12 hours",
  status_since: "2026-11-21T10:00:00.000Z",
  created_at: "2026-11-21T10:00:00.000Z",
};
const DELIVERY = {
  id: `whd_use_${"b".repeat(32)}`,
  webhook_id: "msg_1",
  event: "job.failed",
  job_id: "job_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d",
  endpoint_id: ENDPOINT.id,
  region: "us-east",
  status: "failed",
  attempts: 17,
  response_status: 500,
  error: "refused",
  last_attempt_at: null,
  next_attempt_at: null,
  created_at: "2026-11-21T10:00:00.000Z",
};
const secret = "whsec_c2VjcmV0";

/** An API that answers each call as it is given, and the command line before it. */
async function startApi(answers: Record<string, object>) {
  const asked: [string, unknown][] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const call = `${request.method} ${request.url}`;
      asked.push([call, text === "" ? undefined : JSON.parse(text)]);
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(answers[call] ?? {}));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const printed = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  onTestFinished(() => {
    printed.mockRestore();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    asked,
    async run(
      act: Parameters<typeof webhooks>[0],
      subject?: string,
      options: WebhooksOptions = {},
    ): Promise<string> {
      printed.mockClear();
      expect(await webhooks(act, subject, { url, key: "k", ...options })).toBe(0);
      return printed.mock.calls.map(([text]) => String(text)).join("");
    },
  };
}

test("the command makes endpoints, shows why one is paused, rotates either kind of secret and sends again", async () => {
  const path = `/v1/webhook-endpoints/${ENDPOINT.id}`;
  const rotated = { secret, previous_expire_at: "2026-11-22T10:00:00.000Z" };
  const { asked, run } = await startApi({
    "POST /v1/webhook-endpoints": { ...ENDPOINT, secret },
    "GET /v1/webhook-endpoints": { data: [ENDPOINT], next_cursor: null },
    [`PATCH ${path}`]: { ...ENDPOINT, status: "active" },
    [`POST ${path}/rotate`]: rotated,
    "POST /v1/webhook-secret/rotate": rotated,
    [`GET /v1/webhook-deliveries?job_id=${DELIVERY.job_id}`]: {
      data: [DELIVERY],
      next_cursor: null,
    },
    [`POST /v1/webhook-deliveries/${DELIVERY.id}/redeliver`]: DELIVERY,
  });
  const options = { events: "job.failed", includeResult: true };
  expect(await run("create", ENDPOINT.url, options)).toBe(
    `${ENDPOINT.id}\nsecret (shown once): ${secret}\n`,
  );
  expect(asked.at(-1)![1]).toEqual({
    url: ENDPOINT.url,
    events: ["job.failed"],
    include_result: true,
  });
  expect(await run("list")).toContain("paused    job.failed  https://example.com/hook  every try");
  expect(await run("resume", ENDPOINT.id)).toBe(`${ENDPOINT.id} is active\n`);
  expect(asked.at(-1)![1]).toEqual({ status: "active" });
  expect(await run("rotate", ENDPOINT.id, { overlap: "60" })).toContain(secret);
  expect(asked.at(-1)).toEqual([`POST ${path}/rotate`, { overlap_s: 60 }]);
  await run("rotate", undefined, { tenantSecret: true });
  expect(asked.at(-1)![0]).toBe("POST /v1/webhook-secret/rotate");
  expect(await run("deliveries", DELIVERY.job_id)).toContain("17 tries  HTTP 500");
  expect(JSON.parse(await run("redeliver", DELIVERY.id, { json: true }))).toEqual(DELIVERY);
});

test("what the command lacks it says, and asks nothing", async () => {
  const { asked, run } = await startApi({});
  await expect(run("create")).rejects.toThrow("needs a URL");
  await expect(run("pause")).rejects.toThrow("needs an endpoint's id");
  await expect(run("rotate")).rejects.toThrow("needs an endpoint's id, or --tenant-secret");
  await expect(run("rotate", ENDPOINT.id, { tenantSecret: true })).rejects.toThrow("not both");
  await expect(run("create", ENDPOINT.url, { events: "job.started" })).rejects.toThrow(
    "no such event: job.started",
  );
  expect(asked).toEqual([]);
});

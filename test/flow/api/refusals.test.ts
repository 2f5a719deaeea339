import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { Problem } from "../../../shared/errors/problem.ts";
import { SIGNATURE_HEADER, SIGNATURE_WINDOW_MS } from "../../../shared/signing/link-signature.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { inProcessApi } from "./in-process-api.ts";
import { edgeRequest, startRegionBench, type RegionBench } from "./region-bench.ts";

let bench: RegionBench;
let api: Awaited<ReturnType<typeof inProcessApi>>;
beforeAll(async () => {
  bench = await startRegionBench();
  api = await inProcessApi(bench);
}, 30_000);
afterAll(async () => {
  await api.close();
  await bench.close();
});

async function refusal(request: Request, on = api): Promise<[number, string]> {
  const response = await on.app.request(request);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = Problem.parse(await response.json());
  expect(response.status).toBe(problem.status);
  expect(response.headers.get("x-request-id")).toBe(problem.request_id);
  return [response.status, problem.code];
}
const submit = (spec: unknown, how = {}) => edgeRequest("POST", "/internal/jobs", spec, how);
async function acceptable(changes: Partial<JobSpec> = {}): Promise<JobSpec> {
  const spec = jobSpec(changes);
  await bench.putUpload(spec, Buffer.from("RIFF"));
  return spec;
}

describe("a request that the edge did not sign", () => {
  test.each([
    ["POST", "/internal/jobs"],
    ["GET", "/internal/jobs?tenant_id=ten_demo"],
    ["GET", "/internal/jobs/job_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d?tenant_id=ten_demo"],
    ["POST", "/internal/results/read"],
    ["POST", "/internal/keys/lookup"],
    ["POST", "/internal/admin/tenants"],
    ["POST", "/internal/admin/keys"],
    ["POST", "/internal/admin/keys/revoke"],
    ["POST", "/internal/admin/keys/rotate"],
    ["POST", "/internal/admin/keys/list"],
    ["POST", "/internal/admin/tenants/read"],
    ["POST", "/internal/admin/tenants/change"],
    ["POST", "/internal/issuers/lookup"],
    ["POST", "/internal/origins/lookup"],
    ["GET", "/internal/nothing"],
  ])("%s %s is refused", async (method, path) => {
    const request = new Request(`http://region.test${path}`, { method });
    expect(await refusal(request)).toEqual([401, "unsigned_request"]);
  });
});

describe("a signed request is refused", () => {
  test.each([
    ["the body", { signed: { body: "{}" } }],
    ["the method", { signed: { method: "GET" } }],
    ["the address", { signed: { target: "/internal/keys/lookup" } }],
    ["the region it is for", { audience: "eu-west" }],
    ["the secret", { secret: "another-secret-of-at-least-32-characters" }],
  ])("when %s is another", async (_, how) => {
    expect(await refusal(await submit(await acceptable(), how))).toEqual([
      403,
      "invalid_signature",
    ]);
  });

  test.each([-1, 1])("when it is too old, or from the future", async (sign) => {
    const at = Date.now() + sign * (SIGNATURE_WINDOW_MS + 1000);
    expect(await refusal(await submit(await acceptable(), { at }))).toEqual([
      401,
      "replayed_request",
    ]);
  });

  test("when it comes again", async () => {
    const request = await submit(await acceptable());
    expect((await api.app.request(request.clone())).status).toBe(202);
    expect(await refusal(request)).toEqual([401, "replayed_request"]);
  });

  test("when its body is larger than a megabyte, without being read whole", async () => {
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    const request = new Request("http://region.test/internal/jobs", {
      method: "POST",
      headers: { [SIGNATURE_HEADER]: "v1 anything" },
      body: endless,
      duplex: "half",
    } as RequestInit);
    expect(await refusal(request)).toEqual([413, "body_too_large"]);
    expect(pulled).toBeLessThan(25);
  });

  test("when its body is not JSON, or not what is asked for", async () => {
    const { url, headers } = await submit(undefined, { signed: { body: "{" } });
    const request = new Request(url, { method: "POST", headers, body: "{" });
    expect(await refusal(request)).toEqual([400, "malformed_json"]);
    expect(await refusal(await submit({ ...jobSpec(), id: "job_1" }))).toEqual([
      400,
      "invalid_request",
    ]);
  });

  test("when there is nothing at its address", async () => {
    expect(await refusal(await edgeRequest("GET", "/internal/nothing"))).toEqual([
      404,
      "not_found",
    ]);
  });
});

describe("an upload that the edge has just stored here itself", () => {
  const told = (spec: JobSpec, stored: string) =>
    edgeRequest("POST", `/internal/jobs?stored=${stored}`, spec);
  const encode = (facts: object) => Buffer.from(JSON.stringify(facts)).toString("base64url");

  test("is not looked for in the bucket", async () => {
    const spec = jobSpec();
    expect(await refusal(await submit(spec))).toEqual([404, "upload_not_found"]);
    const stored = encode({ bytes: 4, etag: '"e"', type: "audio/wav" });
    expect((await api.app.request(await told(spec, stored))).status).toBe(202);
    expect(await bench.queue.state(spec.id)).toBeDefined();
  });

  test.each([
    ["no JSON", "e3s", "malformed_json"],
    ["no size", encode({ etag: '"e"' }), "invalid_request"],
    ["no bytes", encode({ bytes: 0 }), "invalid_request"],
    ["too many", encode({ bytes: 2 ** 40 }), "invalid_request"],
  ])("is refused when what is said of it is %s", async (_, stored, code) => {
    const spec = jobSpec();
    expect(await refusal(await told(spec, stored))).toEqual([400, code]);
    expect(await bench.queue.state(spec.id)).toBeUndefined();
  });
});

describe("a job is refused, and nothing of it stays", () => {
  async function refused(spec: JobSpec, on = api) {
    const outcome = await refusal(await submit(spec), on);
    expect(await bench.queue.state(spec.id)).toBeUndefined();
    return outcome;
  }

  test.each(["eu", "in"] as const)(
    "when it is bound to %s and the region is not",
    async (residency) => {
      const spec = await acceptable({ residency });
      expect(await refused(spec)).toEqual([503, "region_unavailable"]);
    },
  );

  test("when its upload never came", async () => {
    expect(await refused(jobSpec())).toEqual([404, "upload_not_found"]);
  });

  test("when its upload is another tenant's", async () => {
    const { upload_id } = await acceptable({ tenant_id: "ten_other" });
    expect(await refused(jobSpec({ upload_id }))).toEqual([404, "upload_not_found"]);
  });

  test("when its upload is empty", async () => {
    const spec = jobSpec();
    await bench.putUpload(spec, new Uint8Array());
    expect(await refused(spec)).toEqual([422, "audio_empty"]);
  });

  test("when it is an older dispatch than the one at hand", async () => {
    const spec = await acceptable({ dispatch: 2 });
    expect((await api.app.request(await submit(spec))).status).toBe(202);
    expect(await refusal(await submit({ ...spec, dispatch: 1 }))).toEqual([
      401,
      "replayed_request",
    ]);
    expect((await bench.queue.state(spec.id))?.state.epoch).toEqual({ dispatch: 2, attempt: 0 });
  });
});

test("a job bound to the region's own jurisdiction is taken", async () => {
  const spec = await acceptable({ residency: "us" });
  expect((await api.app.request(await submit(spec))).status).toBe(202);
});

test("a job of another tenant is no job", async () => {
  const spec = await acceptable();
  await api.app.request(await submit(spec));
  const ask = (tenant: string) =>
    edgeRequest("GET", `/internal/jobs/${spec.id}?tenant_id=${tenant}`);
  expect(await refusal(await ask("ten_other"))).toEqual([404, "job_not_found"]);
  expect((await api.app.request(await ask("ten_demo"))).status).toBe(200);
});

test("a database that is away makes a refusal to try again, with none of its words", async () => {
  const request = await edgeRequest("POST", "/internal/keys/lookup", { key_hash: "0".repeat(64) });
  const response = await api.app.request(request);
  expect(response.status).toBe(503);
  expect(response.headers.get("retry-after")).not.toBeNull();
  expect(JSON.stringify(await response.json())).not.toMatch(/postgres|ECONN|127\.0/i);
});

import { exports } from "cloudflare:workers";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { RegionList } from "../../shared/contracts/api.ts";
import { describeApi } from "../../shared/contracts/openapi.ts";
import { catalogue, type ErrorCode } from "../../shared/errors/catalogue.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { codeOf, newTenant, problemOf, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

test("a line of the log has level, time, message and request as the regions' have them", async () => {
  const written = vi.spyOn(console, "log").mockReturnValue();
  onTestFinished(() => written.mockRestore());
  const { call, regions } = startEdge();
  regions.refuse("POST /internal/keys/lookup", "dependency_unavailable");
  const headers = { "x-request-id": "mine" };
  const key = await regions.addKey({ tenant_id: newTenant() });
  expect((await call("/v1/jobs", { key, headers })).status).toBe(503);
  const lines = written.mock.calls.map(([line]) => JSON.parse(String(line)) as object);
  expect(lines).toContainEqual(
    expect.objectContaining({
      level: "warn",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      service: "edge",
      msg: "a request failed",
      request_id: "mine",
    }),
  );
});

describe("the API description", () => {
  test("names every route of the app, and no other", () => {
    const { app } = startEdge();
    const routes = app.routes
      .filter(({ method, path }) => method !== "ALL" && !path.startsWith("/internal/"))
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    const described = Object.entries(describeApi().paths ?? {}).flatMap(([path, item]) =>
      // A GET answers HEAD too, and need not be described twice.
      Object.keys(item)
        .filter((method) => method !== "head")
        .map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect([...new Set(routes)].toSorted()).toEqual(described.toSorted());
  });

  test("is OpenAPI 3.1 whose references all lead somewhere", async () => {
    const { call } = startEdge();
    const response = await call("/openapi.json");
    const document = (await response.json()) as ReturnType<typeof describeApi>;
    expect(document.openapi).toBe("3.1.0");
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(20);
    for (const [, name] of references) expect(document.components?.schemas).toHaveProperty(name!);
    const operations = [...text.matchAll(/"operationId":"(\w+)"/g)].map(([, id]) => id);
    expect(new Set(operations).size).toBe(operations.length);
    for (const [path, item] of Object.entries(document.paths ?? {})) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const operation of Object.values(item) as {
        parameters?: { in: string; name: string }[];
      }[]) {
        const declared = (operation.parameters ?? []).filter((each) => each.in === "path");
        expect([path, declared.map(({ name }) => name)]).toEqual([path, inPath]);
      }
    }
  });

  test("as a page holds every call, schema field and error, and needs nothing from elsewhere", async () => {
    const { call } = startEdge();
    const response = await call("/docs");
    const html = await response.text();
    for (const path of Object.keys(describeApi().paths ?? {})) expect(html).toContain(path);
    for (const code of Object.keys(catalogue)) expect(html).toContain(`<code>${code}</code>`);
    expect(html).toContain("speech_ratio");
    expect(html).not.toMatch(/<script|<link|src=|@import|url\(/);
    const policy = response.headers.get("content-security-policy")!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe-inline");
    const style = /<style>([^]*?)<\/style>/.exec(html)![1]!;
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
    expect(policy).toContain(`sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`);
  });
});

describe("an answer", () => {
  test("to an unknown address is a problem", async () => {
    const { call } = startEdge();
    for (const path of ["/", "/v1", "/v1/nothing", "/v1/jobs/a/b", "/internal/jobs"]) {
      expect(await codeOf(await call(path))).toBe("not_found");
    }
  });

  test("to a wrong method names the right ones", async () => {
    const { call } = startEdge();
    const response = await call("/v1/uploads");
    expect(response.headers.get("allow")).toBe("POST");
    expect(await codeOf(response)).toBe("method_not_allowed");
    const other = await call("/v1/jobs", { method: "DELETE" });
    expect(other.headers.get("allow")).toBe("GET, HEAD");
    expect(await codeOf(other)).toBe("method_not_allowed");
    expect((await call("/v1/admin/keys/key_a", { method: "PATCH" })).headers.get("allow")).toBe(
      "DELETE",
    );
  });

  test("carries the same protections, whatever it is", async () => {
    const { call } = startEdge();
    for (const path of ["/healthz", "/docs", "/openapi.json", "/v1/jobs", "/nothing"]) {
      const { headers } = await call(path);
      expect(headers.get("x-request-id")).toMatch(/^req_/);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.get("strict-transport-security")).toContain("max-age");
    }
  });

  test.each(Object.keys(catalogue) as ErrorCode[])(
    "to a thrown %s is its problem",
    async (code) => {
      const { app, call } = startEdge();
      app.get("/throws", () => {
        throw new ApiError(code, "What happened.");
      });
      const response = await call("/throws", { headers: { "x-request-id": "mine" } });
      const { status, title, retryable } = catalogue[code];
      expect(response.status).toBe(status);
      expect(await problemOf(response)).toEqual({
        type: `/docs#error-${code}`,
        code,
        status,
        title,
        retryable,
        detail: "What happened.",
        request_id: "mine",
      });
      expect(response.headers.has("retry-after")).toBe(status === 503 || status === 429);
      expect(response.headers.has("www-authenticate")).toBe(status === 401);
    },
  );

  test("has a type that leads to its line in the reference", async () => {
    const { call } = startEdge();
    const { type } = await problemOf(await call("/nothing"));
    const anchor = String(type).replace("/docs#", "");
    expect(await (await call("/docs")).text()).toContain(`id="${anchor}"`);
  });

  test("to a fault of our own shows nothing of it", async () => {
    const { app, call } = startEdge();
    app.get("/throws", () => {
      throw new Error("password=hunter2 at secret.ts:12");
    });
    const problem = await problemOf(await call("/throws"));
    expect(problem).toMatchObject({ code: "internal", status: 500, retryable: true });
    expect(JSON.stringify(problem)).not.toContain("hunter2");
  });

  test("of a Worker whose environment is not complete is 503, and tells no more", async () => {
    const worker = (
      exports as unknown as { default: { fetch(request: Request): Promise<Response> } }
    ).default;
    const response = await worker.fetch(new Request("https://edge.test/v1/jobs"));
    expect(await codeOf(response)).toBe("dependency_unavailable");
  });
});

describe("operations", () => {
  const readiness = (region: string) => ({
    status: "ready",
    region,
    checks: { redis: "ok" },
    waiting_jobs: 3,
    running_jobs: 1,
  });

  test("regions tell their health and load, asked at most every two seconds", async () => {
    holdTime();
    const { call, regions } = startEdge();
    const key = await regions.addKey({ tenant_id: newTenant() });
    regions.on("GET /readyz", ({ region }) =>
      region === "ap-south"
        ? Response.json({ ...readiness(region), status: "not_ready" }, { status: 503 })
        : readiness(region),
    );
    const load = {
      workers: 2,
      capacity: 4,
      active_jobs: 1,
      queued_jobs: 3,
      queued_compute_s: 12,
      expected_wait_s: { interactive: 0, standard: 3, batch: 3 },
    };
    regions.on("GET /internal/load", ({ region }) => {
      if (region !== "us-east") throw new ApiError("not_found");
      const more = { v: 1, region, active_compute_s: 2, speed: 4, reported_at_ms: 1, ttl_ms: 3000 };
      return { ...load, ...more };
    });
    regions.down.add("eu-west");
    const list = RegionList.parse(await (await call("/v1/regions", { key })).json());
    expect(list.data.map(({ id, healthy, waiting_jobs }) => [id, healthy, waiting_jobs])).toEqual([
      ["us-east", true, 3],
      ["eu-west", false, null],
      ["ap-south", false, 3],
    ]);
    expect(list.data.map((region) => region.load)).toEqual([load, null, null]);
    await call("/v1/regions", { key });
    expect(regions.asked("/readyz")).toHaveLength(2);
  });

  test("the edge is alive without regions, and ready with one", async () => {
    const { call, regions } = startEdge();
    regions.on("GET /readyz", ({ region }) => readiness(region));
    for (const region of ["us-east", "eu-west", "ap-south"]) regions.down.add(region);
    expect([(await call("/healthz")).status, (await call("/readyz")).status]).toEqual([200, 503]);
    const other = startEdge();
    other.regions.on("GET /readyz", ({ region }) => readiness(region));
    other.regions.down.add("us-east");
    expect((await other.call("/readyz")).status).toBe(200);
  });

  test("metrics count answers by route, never by address", async () => {
    const { call } = startEdge();
    await call("/v1/jobs/job_1");
    await call("/v1/nothing-1");
    await call("/healthz");
    const text = await (await call("/metrics")).text();
    expect(text).toContain('antiphon_edge_requests_total{route="/v1/jobs/:id",status="401"} 1');
    expect(text).toContain('antiphon_edge_requests_total{route="/healthz",status="200"} 1');
    expect(text).toContain('antiphon_edge_requests_total{route="none",status="404"} 1');
    expect(text).not.toContain("nothing-1");
  });
});

import { describe, expect, test } from "vitest";
import { Job } from "../../shared/contracts/api.ts";
import { mintUploadId } from "../../shared/contracts/ids.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, NEAR_DUBLIN, newTenant, problemOf, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

const uploadIn = (region: string) => ({ upload_id: mintUploadId(findRegion(region)!) });

async function ready(residency: "global" | "eu" = "global", environment = "test") {
  const edge = startEdge({ ENVIRONMENT: environment });
  const tenant_id = newTenant();
  const key = await edge.regions.addKey({ tenant_id, residency });
  const submitted = () =>
    edge.regions.asked("/internal/jobs").map(({ region, body }) => [region, body["dispatch"]]);
  return { ...edge, tenant_id, key, submitted };
}

const timeOut = (): never => {
  throw Object.assign(new Error("timed out"), { name: "TimeoutError" });
};

describe("an analysis", () => {
  test("is reserved, handed to the upload's region and accepted there", async () => {
    const { call, regions, key, tenant_id } = await ready();
    const upload = uploadIn("eu-west");
    const wanted = { model: "whisper-base", priority: "interactive", user_id: "u-1" };
    const body = { ...upload, ...wanted, metadata: { a: "b" } };
    const response = await call("/v1/analyses", { key, body: { ...body, language: "nb" } });
    expect(response.status).toBe(202);
    const job = Job.parse(await response.json());
    expect(job).toMatchObject({ status: "queued", region: "eu-west", dispatch: 1, attempt: 0 });
    expect(job.id).toMatch(/^job_euw_/);
    expect(response.headers.get("location")).toBe(`https://edge.test/v1/jobs/${job.id}`);
    const [request] = regions.asked("/internal/jobs");
    expect(request).toMatchObject({
      region: "eu-west",
      body: {
        ...body,
        language: "no",
        v: 1,
        id: job.id,
        tenant_id,
        residency: "global",
        dispatch: 1,
      },
    });
    expect(request!.body["parts"]).toHaveLength(7);
    const row = await shardOf({ id: job.id, tenant_id }).status(job.id);
    expect(row).toMatchObject({ state: "accepted" });
  });

  test("of a tenant whose results are not kept says so to the region; a transcript cannot be waited for there", async () => {
    const { call, regions, tenant_id } = await ready();
    const key = await regions.addKey({ tenant_id, keeps_results: false });
    expect((await call("/v1/analyses", { key, body: uploadIn("eu-west") })).status).toBe(202);
    const [request] = regions.asked("/internal/jobs");
    expect(request!.body["tenant"]).toEqual({ keeps_results: false });
    const form = new Response(new FormData());
    const answer = await call("/v1/audio/transcriptions", {
      key,
      body: new Uint8Array(await form.clone().arrayBuffer()),
      headers: { "content-type": form.headers.get("content-type")! },
    });
    expect(await codeOf(answer)).toBe("not_available");
  });

  test("with a deadline has so long from when it was accepted, as JSON and beside a body of audio", async () => {
    const { call, regions, key } = await ready();
    const body = { ...uploadIn("us-east"), deadline_s: 90.5 };
    expect((await call("/v1/analyses", { key, body })).status).toBe(202);
    const audio = {
      body: new Uint8Array(3),
      headers: { "content-type": "audio/wav", "content-length": "3" },
    };
    expect((await call("/v1/analyses?deadline_s=30", { key, ...audio })).status).toBe(202);
    const given = regions.asked("/internal/jobs").map(({ body: spec }) => {
      const { deadline_at, created_at } = spec as Record<string, string>;
      return Date.parse(deadline_at!) - Date.parse(created_at!);
    });
    expect(given).toEqual([90_500, 30_000]);
    for (const deadline_s of [0, -1, 604_801, "soon", null]) {
      const wrong = await call("/v1/analyses", { key, body: { ...body, deadline_s } });
      expect([deadline_s, await codeOf(wrong)]).toEqual([deadline_s, "invalid_request"]);
    }
  });

  test("goes to the next region under a new dispatch when the first does not answer", async () => {
    const { call, regions, key, submitted, tenant_id } = await ready();
    regions.down.add("us-east");
    const job = Job.parse(
      await (await call("/v1/analyses", { key, body: uploadIn("us-east") })).json(),
    );
    expect(submitted()).toEqual([["eu-west", expect.any(Number)]]);
    expect(job.region).toBe("eu-west");
    const row = await shardOf({ id: job.id, tenant_id }).status(job.id);
    expect(row).toMatchObject({ state: "accepted", region: "eu-west", dispatch: job.dispatch });
  });

  test("passes over a region that just failed", async () => {
    holdTime();
    const { call, regions, key } = await ready();
    regions.on("POST /internal/jobs", ({ region, body }) => {
      if (region === "us-east") throw new ApiError("dependency_unavailable");
      return {
        job_id: body["id"],
        dispatch: body["dispatch"],
        duplicate: false,
        queue_position: 3,
      };
    });
    const first = Job.parse(
      await (await call("/v1/analyses", { key, body: uploadIn("us-east") })).json(),
    );
    expect(first).toMatchObject({ region: "eu-west", dispatch: 2, queue_position: 3 });
    regions.down.add("us-east");
    await call("/v1/analyses", { key, body: uploadIn("us-east") });
    const third = Job.parse(
      await (await call("/v1/analyses", { key, body: uploadIn("us-east") })).json(),
    );
    expect(third).toMatchObject({ region: "eu-west", dispatch: 1 });
    expect(third.id).toMatch(/^job_(euw|aps)_/);
  });

  test("that a region refuses is not kept, and the refusal is passed on", async () => {
    const { call, regions, key, tenant_id } = await ready();
    for (const code of ["upload_not_found", "upload_too_large", "audio_empty"] as const) {
      regions.refuse("POST /internal/jobs", code);
      const response = await call("/v1/analyses", { key, body: uploadIn("us-east") });
      expect(await codeOf(response)).toBe(code);
      const id = String(regions.asked("/internal/jobs").at(-1)!.body["id"]);
      expect(await shardOf({ id, tenant_id }).status(id)).toBeNull();
    }
    expect(regions.asked("/internal/jobs").every(({ region }) => region === "us-east")).toBe(true);
  });

  test("whose upload the next region lacks is not called missing while its own region is away", async () => {
    const { call, regions, key } = await ready();
    regions.down.add("us-east");
    regions.refuse("POST /internal/jobs", "upload_not_found");
    const response = await call("/v1/analyses", { key, body: uploadIn("us-east") });
    expect(await codeOf(response)).toBe("region_unavailable");
  });

  test("leaves nothing when no region can be reached, and can be repeated later", async () => {
    const { call, regions, key, tenant_id } = await ready();
    await call("/v1/jobs", { key });
    const all = ["us-east", "eu-west", "ap-south"];
    for (const region of all) regions.down.add(region);
    const request = { key, body: uploadIn("us-east"), headers: { "idempotency-key": "k" } };
    const response = await call("/v1/analyses", request);
    expect(await codeOf(response)).toBe("region_unavailable");
    expect(response.headers.get("retry-after")).not.toBeNull();
    regions.down.clear();
    const job = Job.parse(await (await call("/v1/analyses", request)).json());
    // Each region had been given a dispatch of its own, and none of those may ever end the job.
    expect(job.dispatch).toBe(all.length + 1);
    const stale = offerOf({ id: job.id, tenant_id }, { dispatch: 1, attempt: 1 });
    expect(await shardOf({ id: job.id, tenant_id }).complete([stale])).toEqual(["superseded"]);
  });

  test.each([
    ["the last region did not answer in time", timeOut],
    [
      "the last region failed while answering",
      () => {
        throw new ApiError("internal");
      },
    ],
  ])("stays reserved while %s", async (_, answer) => {
    const { call, regions, key, tenant_id } = await ready("eu");
    regions.on("POST /internal/jobs", answer);
    const response = await call("/v1/analyses", { key, body: uploadIn("eu-west") });
    const problem = await problemOf(response);
    expect(problem.code).toBe("dependency_unavailable");
    const id = String(regions.asked("/internal/jobs")[0]!.body["id"]);
    expect(problem.detail).toContain(id);
    const row = await shardOf({ id, tenant_id }).status(id);
    expect(row).toMatchObject({ state: "reserved", dispatch: 1 });
  });

  test("that was left unclear goes on where it stopped when it is repeated", async () => {
    const { call, regions, key, submitted } = await ready("eu");
    const request = { key, body: uploadIn("eu-west"), headers: { "idempotency-key": "k" } };
    regions.on("POST /internal/jobs", timeOut);
    await call("/v1/analyses", request);
    regions.on("POST /internal/jobs", ({ body }) => ({
      job_id: body["id"],
      dispatch: body["dispatch"],
      duplicate: true,
      queue_position: 0,
    }));
    expect((await call("/v1/analyses", request)).status).toBe(202);
    expect(submitted()).toEqual([
      ["eu-west", 1],
      ["eu-west", 1],
    ]);
    const ids = regions.asked("/internal/jobs").map(({ body }) => body["id"]);
    expect(new Set(ids).size).toBe(1);
  });

  test("that ended before its region's answer was lost is not called refused", async () => {
    const { call, regions, services, key } = await ready("eu");
    regions.on("POST /internal/jobs", async ({ body }) => {
      const { id, tenant_id } = body as { id: string; tenant_id: string };
      await services.ledger.complete([
        offerOf({ id, tenant_id }, { dispatch: 1, attempt: 1 }, { region: "eu-west" }),
      ]);
      // What the edge sees of a connection that broke under the answer.
      return new Response(null, { status: 522 });
    });
    const response = await call("/v1/analyses", { key, body: uploadIn("eu-west") });
    expect(response.status).toBe(202);
    const { id } = Job.parse(await response.json());
    expect(Job.parse(await (await call(`/v1/jobs/${id}`, { key })).json()).status).toBe(
      "succeeded",
    );
  });

  test("with metadata that the database cannot hold is refused, whole emoji are not", async () => {
    const { call, regions, key } = await ready();
    for (const text of ["a\0b", "\ud83d", "\ude00\ud83d"]) {
      for (const metadata of [{ a: text }, { [text]: "a" }]) {
        const response = await call("/v1/analyses", {
          key,
          body: { ...uploadIn("us-east"), metadata },
        });
        expect(await codeOf(response)).toBe("invalid_request");
      }
    }
    expect(regions.asked("/internal/jobs")).toEqual([]);
    const body = { ...uploadIn("us-east"), metadata: { "\ud83d\ude00": "\ud83d\ude00\t\n" } };
    expect((await call("/v1/analyses", { key, body })).status).toBe(202);
  });

  test("of a bound tenant never leaves its jurisdiction, also when that one is down", async () => {
    const { call, regions, key } = await ready("eu");
    await call("/v1/jobs", { key });
    regions.down.add("eu-west");
    const response = await call("/v1/analyses", {
      key,
      body: { ...uploadIn("us-east"), metadata: { secret: "content" } },
    });
    expect(await codeOf(response)).toBe("region_unavailable");
    expect(regions.asked("/internal/jobs").filter(({ region }) => region !== "eu-west")).toEqual(
      [],
    );
  });

  test("goes where it is forced to go, outside production", async () => {
    const { call, key, submitted } = await ready();
    const headers = { "x-antiphon-region": "ap-south" };
    await call("/v1/analyses", { key, body: uploadIn("us-east"), headers });
    expect(submitted()).toEqual([["ap-south", 1]]);
    const unknown = { "x-antiphon-region": "mars-north" };
    const response = await call("/v1/analyses", {
      key,
      body: uploadIn("us-east"),
      headers: unknown,
    });
    expect(await codeOf(response)).toBe("invalid_request");
  });

  test("cannot be forced where residency forbids it", async () => {
    const { call, key, submitted } = await ready("eu");
    const headers = { "x-antiphon-region": "ap-south" };
    const response = await call("/v1/analyses", { key, body: uploadIn("eu-west"), headers });
    expect(await codeOf(response)).toBe("region_unavailable");
    expect(submitted()).toEqual([]);
  });
});

describe("Prefer: wait", () => {
  test("answers 202 when the job is not final in time", async () => {
    const { call, key } = await ready();
    const response = await call("/v1/analyses", {
      key,
      body: uploadIn("us-east"),
      headers: { prefer: "wait=0" },
    });
    expect(response.status).toBe(202);
    expect(response.headers.get("preference-applied")).toBe("wait=0");
  });

  test("answers 200 with the final job, and no earlier", async () => {
    const { call, regions, key, tenant_id } = await ready();
    regions.on("POST /internal/jobs", async ({ body }) => {
      const id = String(body["id"]);
      const failed = offerOf(
        { id, tenant_id },
        { dispatch: 1, attempt: 1 },
        {
          status: "failed",
          error: { code: "audio_corrupt", detail: "It is damaged.", retryable: false },
        },
      );
      await shardOf({ id, tenant_id }).complete([failed]);
      return { job_id: id, dispatch: 1, duplicate: false, queue_position: 0 };
    });
    const response = await call("/v1/analyses", {
      key,
      body: uploadIn("us-east"),
      headers: { prefer: "respond-async, wait=60" },
    });
    expect(response.status).toBe(200);
    expect(Job.parse(await response.json())).toMatchObject({
      status: "failed",
      error: { code: "audio_corrupt" },
      attempt: 1,
    });
  });
});

describe("a body of audio", () => {
  const audio = () => crypto.getRandomValues(new Uint8Array(70_000).subarray(0, 60_000));
  const wav = (bytes: Uint8Array, more = {}) => ({
    "content-type": "audio/wav",
    "content-length": String(bytes.length),
    ...more,
  });

  test("streams into the nearest region's bucket and becomes a job", async () => {
    const { call, regions, key, tenant_id } = await ready();
    const bytes = audio();
    const response = await call("/v1/analyses?parts=voice_activity&priority=batch&user_id=u-9", {
      key,
      body: bytes,
      headers: wav(bytes),
      cf: NEAR_DUBLIN,
    });
    expect(response.status).toBe(202);
    const [request] = regions.asked("/internal/jobs");
    expect(request).toMatchObject({
      region: "eu-west",
      body: { parts: ["voice_activity"], priority: "batch", user_id: "u-9" },
    });
    const name = `eu-west/bucket-eu-west/uploads/global/${tenant_id}/${String(request!.body["upload_id"])}`;
    expect(regions.objects.get(name)).toEqual({ bytes, type: "audio/wav" });
  });

  test("under an idempotency key is stored once, and another recording is told apart", async () => {
    const { call, regions, key } = await ready();
    const bytes = audio();
    const other = bytes.slice();
    other[0] = other[0]! ^ 1;
    const send = (body: Uint8Array) =>
      call("/v1/analyses", { key, body, headers: wav(body, { "idempotency-key": "raw" }) });
    const first = await send(bytes);
    expect([...first.headers.keys()]).not.toContain("antiphon-content-sha256");
    const second = await send(bytes);
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(await second.json()).toEqual(await first.json());
    expect(await codeOf(await send(other))).toBe("idempotency_key_reused");
    expect(regions.objects.size).toBe(1);
  });

  test("without a length, without bytes, or beyond 25 MB is refused before it is read", async () => {
    const { call, regions, key } = await ready();
    const bytes = new Uint8Array(10);
    const codes = [];
    for (const length of [undefined, "0", String(25 * 1024 * 1024 + 1), "12x"]) {
      const headers: Record<string, string> = { "content-type": "audio/wav" };
      if (length !== undefined) headers["content-length"] = length;
      codes.push(await codeOf(await call("/v1/analyses", { key, body: bytes, headers })));
    }
    expect(codes).toEqual(["invalid_request", "audio_empty", "body_too_large", "invalid_request"]);
    expect(regions.objectRequests).toEqual([]);
  });

  test("that ends early leaves no job", async () => {
    const { call, regions, key } = await ready();
    const headers = { "content-type": "audio/wav", "content-length": "100" };
    const response = await call("/v1/analyses", { key, body: new Uint8Array(10), headers });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(regions.asked("/internal/jobs")).toEqual([]);
  });

  test("of a type that is not audio is refused", async () => {
    const { call, key } = await ready();
    const headers = { "content-type": "image/png", "content-length": "10" };
    const response = await call("/v1/analyses", { key, body: new Uint8Array(10), headers });
    expect(await codeOf(response)).toBe("unsupported_media_type");
  });
});

import { describe, expect, test } from "vitest";
import { Job } from "../../shared/contracts/api.ts";
import type { CallRegion } from "../../edge/forward/call-region.ts";
import { submitJob } from "../../edge/forward/submit-job.ts";
import type { LedgerJob } from "../../edge/ledger/ledger-job.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { seen, tell } from "./support/failover.ts";
import { LOST_AFTER_MS } from "../../shared/policies/region-verdict.ts";
import { shardOf } from "./support/jobs.ts";
import { NEAR_DUBLIN, newTenant, problemOf, startEdge } from "./support/start-edge.ts";
import { holdTime } from "./support/time.ts";

/** More than the edge holds of a body. */
const LARGE = new Uint8Array(1024 * 1024 + 1).fill(7);
const SMALL = Uint8Array.from([1, 2, 3]);

async function ready() {
  const edge = startEdge();
  const tenant_id = newTenant();
  const key = await edge.regions.addKey({ tenant_id });
  const send = (body: Uint8Array | ReadableStream, bytes: number) =>
    edge.call("/v1/analyses", {
      key,
      body,
      headers: { "content-type": "audio/wav", "content-length": String(bytes) },
      cf: NEAR_DUBLIN,
    });
  const lines = async (name: string) =>
    (await (await edge.call("/metrics")).text())
      .split("\n")
      .filter((line) => line.startsWith(name));
  return { ...edge, tenant_id, send, lines };
}

describe("a body of audio whose region's bucket dies", () => {
  test("while it streams is answered with a 503 that says when to come again, and leaves nothing; the next goes elsewhere", async () => {
    holdTime();
    const { send, regions } = await ready();
    // It takes the beginning, and is gone.
    regions.elsewhere.set("eu-west.objects.test", async (request) => {
      await request.body!.getReader().read();
      throw new Error("Network connection lost.");
    });
    const response = await send(LARGE, LARGE.length);
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    const { code, retryable } = await problemOf(response);
    expect([code, retryable]).toEqual(["dependency_unavailable", true]);
    expect(regions.asked("/internal/jobs")).toEqual([]);
    expect(regions.objects.size).toBe(0);

    const again = await send(LARGE, LARGE.length);
    expect(Job.parse(await again.json()).region).toBe("us-east");
  });

  test("is stored in the next region, and analysed there, when it is small", async () => {
    const { send, regions, lines, tenant_id } = await ready();
    regions.elsewhere.set("eu-west.objects.test", () => {
      throw new Error("Network connection lost.");
    });
    const response = await send(SMALL, SMALL.length);
    expect(response.status).toBe(202);
    expect(Job.parse(await response.json()).region).toBe("us-east");
    const [name, object] = [...regions.objects][0]!;
    expect(name).toMatch(`us-east/bucket-us-east/uploads/global/${tenant_id}/upl_use_`);
    expect(object.bytes).toEqual(SMALL);
    expect(await lines("antiphon_edge_retries_total")).toEqual([
      'antiphon_edge_retries_total{what="upload",outcome="made"} 1',
    ]);
  });
});

describe("a region is told what the edge has put into its bucket", () => {
  const told = (query: URLSearchParams) => {
    const stored = query.get("stored");
    return stored === null ? null : JSON.parse(Buffer.from(stored, "base64url").toString());
  };

  test.each([
    ["held", SMALL],
    ["streamed", LARGE],
  ])("whether it was %s or not", async (_, body) => {
    const { send, regions } = await ready();
    expect((await send(body, body.length)).status).toBe(202);
    const [asked] = regions.asked("/internal/jobs");
    const etag = `"etag-of-${body.length}"`;
    expect(told(asked!.query)).toEqual({ bytes: body.length, etag, type: "audio/wav" });
  });

  test("and the next one, whose bucket it is not, has to look for itself", async () => {
    const { send, regions } = await ready();
    regions.on("POST /internal/jobs", ({ region, body: { id: job_id, dispatch } }) => {
      if (region === "eu-west") throw new ApiError("dependency_unavailable");
      return { job_id, dispatch, duplicate: false, queue_position: 0 };
    });
    await send(SMALL, SMALL.length);
    const asked = regions.asked("/internal/jobs").map(({ region, query }) => [region, told(query)]);
    expect(asked).toEqual([
      ["eu-west", expect.objectContaining({ bytes: SMALL.length })],
      ["us-east", null],
    ]);
  });

  test("and looks for itself when a resumed request stores its audio a second time", async () => {
    const first = { region: findRegion("eu-west")!, bytes: 3, etag: undefined, type: "audio/wav" };
    const draft = { id: "job", tenant_id: "ten", upload_id: "upl_first" };
    const job = { draft, dispatch: 1 } as unknown as LedgerJob;
    const targets: string[] = [];
    const callRegion = (async (_region, { target }) => {
      targets.push(target);
      return { kind: "unavailable", error: new ApiError("region_unavailable") };
    }) as CallRegion;
    for (const uploadId of ["upl_first", "upl_second"]) {
      await submitJob(callRegion, first.region, job, { stored: { ...first, uploadId } });
    }
    expect(targets).toEqual([expect.stringMatching(/\?stored=[\w-]+$/), "/internal/jobs"]);
  });
});

test("a sender who breaks off, or sends less than announced, does not count against the region", async () => {
  const { send, regions } = await ready();
  const broken = () => {
    let sent = false;
    return new ReadableStream({
      pull(controller) {
        if (sent) controller.error(new Error("the client has left"));
        else controller.enqueue(LARGE.slice(0, 1000));
        sent = true;
      },
    });
  };
  for (const [body, bytes] of [
    [broken(), LARGE.length],
    [LARGE, LARGE.length + 1],
    [broken(), 2000],
    [SMALL, 4],
  ] as const) {
    expect((await problemOf(await send(body, bytes))).code).toBe("dependency_unavailable");
  }
  expect(regions.asked("/internal/jobs")).toEqual([]);
  const whole = await send(LARGE, LARGE.length);
  expect(Job.parse(await whole.json()).region).toBe("eu-west");
});

test("metrics tell of jobs given to another region, while they are accepted and after their region is lost", async () => {
  const { send, regions, lines, tenant_id } = await ready();
  regions.on("POST /internal/jobs", ({ region, body: { id: job_id, dispatch } }) => {
    if (region === "eu-west") throw new ApiError("dependency_unavailable");
    return { job_id, dispatch, duplicate: false, queue_position: 0 };
  });
  const { id, region } = Job.parse(await (await send(SMALL, SMALL.length)).json());
  expect(region).toBe("us-east");
  expect(await lines("antiphon_edge_re")).toEqual(
    expect.arrayContaining([
      'antiphon_edge_retries_total{what="job",outcome="made"} 1',
      'antiphon_edge_redispatches_total{from="eu-west"} 1',
    ]),
  );
  const before = await lines("antiphon_edge_ledger_redispatches_total");
  expect(before).toEqual([]);
  regions.down.add("us-east");
  const views = seen({ "us-east": LOST_AFTER_MS, "eu-west": LOST_AFTER_MS });
  await tell(shardOf({ id, tenant_id }), "lost", "us-east", { views });
  expect(await lines("antiphon_edge_ledger_redispatches_total")).toEqual([
    'antiphon_edge_ledger_redispatches_total{from="us-east"} 1',
  ]);
});

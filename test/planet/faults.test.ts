import { afterEach, expect, test } from "vitest";
import {
  analyzeBytes,
  clientOf,
  control,
  eventually,
  longRecording,
  planet,
  rows,
  sample,
  submitBytes,
} from "./planet-under-test.ts";

const edgeTo = (region: string) => `edge->${region}:api`;
const restore = (match: string) => control("/links", { match, change: { kind: "restore" } });

// The next test finds every region reachable, and the edge knowing it.
afterEach(async () => {
  await restore("edge");
  await eventually(async () => {
    const { data } = await clientOf().listRegions();
    return data.every((region) => region.healthy) ? data : undefined;
  });
});

test("a job whose worker is killed in its middle still finishes, once", async () => {
  const client = clientOf({ region: "us-east" });
  // Without the transcript, which takes minutes: what is seen here is who finishes, not what was said.
  const { id } = await submitBytes(client, await longRecording(900), "audio/wav", {
    parts: ["features", "voice_activity"],
  });
  await eventually(async () => {
    const job = await client.getJob(id);
    if (job.status === "succeeded")
      throw new Error("the job was over before its worker could be killed");
    return job.status === "running" ? job : undefined;
  });
  await control("/processes/us-east-worker-1/kill", { signal: "SIGKILL" });
  const job = await client.waitForJob(id);
  expect(job).toMatchObject({ status: "succeeded", dispatch: 1, attempt: 2, region: "us-east" });
  const [row] = await eventually(async () => {
    const found = await rows<{ n: number; results: number; usage: number; stages: number }>(
      "us-east",
      `select (select count(*) from jobs where id = $1)::int n,
              (select count(*) from results where job_id = $1)::int results,
              (select count(*) from usage_events where job_id = $1)::int usage,
              (select count(distinct stage) from usage_events where job_id = $1)::int stages`,
      [id],
    );
    return found[0]!.n > 0 ? found : undefined;
  });
  expect(row).toMatchObject({ n: 1, results: 1 });
  expect(row!.usage).toBe(row!.stages);
}, 120_000);

test.each(["reset", "blackhole"])(
  "when the edge cannot reach a region (%s), another takes the job",
  async (how) => {
    await control("/links", { match: edgeTo("us-east"), change: { kind: "cut", how } });
    const job = await analyzeBytes(clientOf(), await sample());
    expect(job.status).toBe("succeeded");
    expect(job.region).not.toBe("us-east");
  },
);

test("when no permitted region can be reached, the client is told when to come back, and may then", async () => {
  const client = clientOf();
  const bytes = await sample();
  const upload = await client.createUpload({ content_type: "audio/wav", bytes: bytes.length });
  await client.putUpload(upload, new Blob([bytes]));
  for (const region of Object.keys(planet.regions)) {
    await control("/links", { match: edgeTo(region), change: { kind: "cut", how: "reset" } });
  }
  const send = () =>
    fetch(`${planet.edge}/v1/analyses`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${planet.keys.demo}`,
        "content-type": "application/json",
        "idempotency-key": upload.upload_id,
      },
      body: JSON.stringify({ upload_id: upload.upload_id }),
    });
  const refused = await send();
  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
  expect(await refused.json()).toMatchObject({ code: "region_unavailable", retryable: true });

  await restore("edge");
  const accepted = await eventually(async () => {
    const response = await send();
    return response.status === 202 ? response : undefined;
  });
  const { id } = (await accepted.json()) as { id: string };
  expect(await client.waitForJob(id)).toMatchObject({ status: "succeeded" });
});

test("results appear once the region can reach the ledger again", async () => {
  await control("/links", { match: "eu-west->edge:edge", change: { kind: "cut", how: "reset" } });
  const client = clientOf({ region: "eu-west" });
  const { id } = await submitBytes(client, await sample());
  await eventually(async () => ((await client.getJob(id)).status === "running" ? true : undefined));
  await restore("eu-west->edge:edge");
  expect(await client.waitForJob(id)).toMatchObject({ status: "succeeded", attempt: 1 });
});

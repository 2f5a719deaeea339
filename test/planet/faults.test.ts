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

afterEach(async () => {
  await restore("edge");
});

test("a job whose worker is killed in its middle still finishes, once", async () => {
  const client = clientOf({ region: "us-east" });
  const { id } = await submitBytes(client, await longRecording(1_800));
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

test("when no permitted region can be reached, the client is told when to come back, and nothing is kept", async () => {
  for (const region of Object.keys(planet.regions)) {
    await control("/links", { match: edgeTo(region), change: { kind: "cut", how: "reset" } });
  }
  const client = clientOf({ retries: 0 });
  const bytes = await sample();
  const upload = await client
    .createUpload({ content_type: "audio/wav", bytes: bytes.length })
    .catch((error: unknown) => error);
  const answer = await fetch(`${planet.edge}/v1/uploads`, {
    method: "POST",
    headers: { authorization: `Bearer ${planet.keys.demo}`, "content-type": "application/json" },
    body: JSON.stringify({ content_type: "audio/wav", bytes: 10 }),
  });
  // Whether it is noticed at the upload or at the analysis depends on what the edge has tried so far.
  if (answer.status === 503) {
    expect(await answer.json()).toMatchObject({ code: "region_unavailable", retryable: true });
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
    return;
  }
  const { upload_id } = upload as { upload_id: string };
  await expect(client.createAnalysis({ upload_id })).rejects.toMatchObject({
    problem: { code: "region_unavailable", retryable: true },
  });
});

test("results appear once the region can reach the ledger again", async () => {
  await control("/links", { match: "eu-west->edge:edge", change: { kind: "cut", how: "reset" } });
  const client = clientOf({ region: "eu-west" });
  const { id } = await submitBytes(client, await sample());
  await eventually(async () => ((await client.getJob(id)).status === "running" ? true : undefined));
  await restore("eu-west->edge:edge");
  expect(await client.waitForJob(id)).toMatchObject({ status: "succeeded", attempt: 1 });
});

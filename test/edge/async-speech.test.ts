import { expect, test } from "vitest";
import { Job } from "../../shared/contracts/api.ts";
import { readId } from "../../shared/contracts/ids.ts";
import { JobSpec } from "../../shared/contracts/job.ts";
import { SpeechJobAccepted } from "../../shared/contracts/speech-jobs.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, NEAR_DUBLIN, newTenant, problemOf, startEdge } from "./support/start-edge.ts";

const PATH = "/v1/audio/speech/async";
const SUBMIT = "POST /internal/jobs";
const taken = (body: Record<string, unknown>, queue_position = 0) =>
  Response.json(
    { job_id: body["id"], dispatch: body["dispatch"], duplicate: false, queue_position },
    { status: 202 },
  );

async function ready(more: { residency?: "global" | "eu" } = {}) {
  const edge = startEdge();
  const tenant = newTenant("speak");
  const key = await edge.regions.addKey({ tenant_id: tenant, scopes: ["speak"], ...more });
  const order = (body: object = {}, headers: Record<string, string> = {}) =>
    edge.call(PATH, { key, body: { input: "Olé, hello.", ...body }, headers, cf: NEAR_DUBLIN });
  const textAt = (region: string, spec: JobSpec) => {
    const { residency, tenant_id, upload_id } = spec;
    const key = `${region}/bucket-${region}/uploads/${residency}/${tenant_id}/${upload_id}`;
    const found = edge.regions.objects.get(key);
    return found && new TextDecoder().decode(found.bytes);
  };
  const specs = () => edge.regions.asked("/internal/jobs").map(({ body }) => JobSpec.parse(body));
  return { ...edge, tenant, key, order, textAt, specs };
}

test("a text is accepted as a job that says where it lies, and holds none of it", async () => {
  const { order, specs, textAt, tenant, call, key } = await ready({ residency: "eu" });
  const answer = await order({ voice: "nova", response_format: "opus", deadline_s: 60 });
  expect(answer.status).toBe(202);
  const accepted = SpeechJobAccepted.parse(await answer.json());
  expect(accepted.status_url).toBe(`https://edge.test/v1/jobs/${accepted.job_id}`);
  expect(answer.headers.get("location")).toBe(accepted.status_url);
  expect(accepted.estimated_seconds).toBeGreaterThan(0);
  const [spec] = specs();
  expect(spec).toMatchObject({
    id: accepted.job_id,
    kind: "synthesis",
    tenant_id: tenant,
    parts: [],
    speech: { text: { offset: 0, bytes: 12 }, voice: "slt", response_format: "opus", speed: 1 },
  });
  expect(Date.parse(spec!.deadline_at!) - readId(spec!.id)!.createdAtMs).toBe(60_000);
  expect(JSON.stringify(spec)).not.toContain("hello");
  expect(textAt("eu-west", spec!)).toBe("Olé, hello.");
  // A key that may only speak may ask for its own job.
  const job = Job.parse(await (await call(`/v1/jobs/${accepted.job_id}`, { key })).json());
  expect(job).toMatchObject({ kind: "synthesis", status: "queued" });
});

test("the estimate grows with what waits before it", async () => {
  const { order, regions } = await ready();
  const input = "x ".repeat(500);
  const estimate = async () =>
    SpeechJobAccepted.parse(await (await order({ input })).json()).estimated_seconds;
  const alone = await estimate();
  regions.on(SUBMIT, ({ body }) => taken(body, 9));
  expect(await estimate()).toBeGreaterThan(8 * alone);
});

test("a region that is away is passed over, and the text goes to the one that takes the job", async () => {
  const { order, regions, specs, textAt } = await ready();
  regions.on(SUBMIT, ({ region, body }) => {
    if (region === "eu-west") throw new ApiError("dependency_unavailable");
    return taken(body);
  });
  expect((await order()).status).toBe(202);
  const spec = specs().at(-1)!;
  expect(spec.dispatch).toBe(2);
  expect(textAt("us-east", spec)).toBe("Olé, hello.");
});

test("what a region finds wrong with the text is refused; a voice that it lacks is looked for in the next", async () => {
  const { order, regions } = await ready();
  regions.refuse(SUBMIT, "text_language_unsupported");
  expect(await codeOf(await order())).toBe("text_language_unsupported");
  expect(regions.asked("/internal/jobs").length).toBe(1);

  regions.on(SUBMIT, ({ region, body }) => {
    if (region === "eu-west") throw new ApiError("voice_not_installed", "Install it so.");
    return taken(body);
  });
  expect((await order({ voice: "af_heart" })).status).toBe(202);
  regions.refuse(SUBMIT, "voice_not_installed");
  expect(await codeOf(await order({ voice: "af_heart" }))).toBe("voice_not_installed");
});

test("Prefer: wait answers with the job and its audio once it is final, and a repetition makes no second job", async () => {
  const { order, regions, call, key } = await ready();
  regions.on(SUBMIT, async ({ body }) => {
    const { id, tenant_id, dispatch } = JobSpec.parse(body);
    const job = { id, tenant_id };
    const audio = { sha256: "ab".repeat(32), bytes: 9, duration_s: 1.5, extension: "mp3" };
    setTimeout(() => {
      const offer = offerOf(job, { dispatch, attempt: 1 }, { region: "eu-west", audio });
      void shardOf(job).complete([offer]);
    }, 50);
    return taken(body);
  });
  const headers = { prefer: "wait=20", "idempotency-key": "k1" };
  const answer = await order({}, headers);
  expect(answer.status).toBe(200);
  const job = Job.parse(await answer.json());
  expect(job).toMatchObject({ kind: "synthesis", status: "succeeded" });
  expect((await call(job.audio_url!, { key, method: "HEAD" })).status).toBe(404);
  const again = await order({}, headers);
  expect(Job.parse(await again.json()).id).toBe(job.id);
  expect(regions.asked("/internal/jobs").length).toBe(1);
});

test("a text that is empty or too long is refused with its field", async () => {
  const { order, regions } = await ready();
  for (const input of ["", "x".repeat(4097)]) {
    expect(await problemOf(await order({ input }))).toMatchObject({
      code: "invalid_request",
      errors: [{ path: "input" }],
    });
  }
  expect(regions.asked("/internal/jobs")).toEqual([]);
});

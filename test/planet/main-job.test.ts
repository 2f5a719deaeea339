import { describe, expect, test } from "vitest";
import { Job } from "../../shared/contracts/api.ts";
import { verifyReceipt } from "../../shared/signing/receipt.ts";
import { findRegionByCode, regions } from "../../shared/contracts/regions.ts";
import {
  analyzeBytes,
  clientOf,
  eventually,
  newSample,
  planet,
  rows,
  sample,
  sha256,
} from "./planet-under-test.ts";

describe.each(regions.map(({ id }) => id))("a recording analysed in %s", (region) => {
  test("gives duration, level, speech and a reason for every part that is not there", async () => {
    const bytes = await newSample();
    const job = await analyzeBytes(clientOf({ region }), bytes);
    expect(job).toMatchObject({ status: "succeeded", region, dispatch: 1, attempt: 1 });
    expect(findRegionByCode(job.id.slice(4, 7))?.id).toBe(region);
    const result = job.result!;
    expect(result).toMatchObject({ region, epoch: { dispatch: 1, attempt: 1 } });
    expect(result.audio).toMatchObject({
      sha256: sha256(bytes),
      bytes: bytes.length,
      sample_rate_hz: 16_000,
      channels: 1,
      level: { silent: false, clipping: { clipped_samples: 0 } },
    });
    expect(result.audio.duration_s).toBeCloseTo(
      (bytes.length - bytes.indexOf("data") - 8) / 32_000,
      2,
    );
    const speech = result.voice_activity;
    if (!speech || "status" in speech) throw new Error("voice activity is missing");
    expect(speech.segments.length).toBeGreaterThan(0);
    expect(speech.speech_ratio).toBeGreaterThan(0.5);
    expect(result.engines.voice_activity?.model_sha256).toMatch(/^[0-9a-f]{64}$/);
    const features = result.features;
    if (!features || "status" in features) throw new Error("the features are missing");
    expect(features.values["F0semitoneFrom27.5Hz_sma3nz_percentile50.0"]).toBeGreaterThan(20);
    expect(Object.values(features.values)).not.toContain(null);
    expect(features.tracks.f0_hz.length).toBeGreaterThan(200);
    expect(features.tracks.loudness.length).toBeGreaterThan(200);
    expect(result.speaking_rate).toMatchObject({ syllables_per_s: expect.any(Number) });
    expect(result.emotion).toMatchObject({ arousal: expect.any(Number) });
    for (const part of ["age", "sex"] as const) {
      expect(result[part], part).toMatchObject({
        status: "unavailable",
        reason: expect.any(String),
      });
    }
    expect(result.cost.usd).toBeGreaterThan(0);
  });

  test("has its row on the primary and on every replica, once, with its usage", async () => {
    const job = await analyzeBytes(clientOf({ region }), await sample());
    for (const { id } of regions) {
      const [row] = await eventually(async () => {
        const found = await rows<{ region: string; status: string; attempt: number }>(
          id,
          "select region, status, attempt from jobs where id = $1",
          [job.id],
        );
        return found.length > 0 ? found : undefined;
      });
      expect(row, id).toEqual({ region, status: "succeeded", attempt: 1 });
      const results = await rows<{ n: number }>(
        id,
        "select count(*)::int n from results where job_id = $1",
        [job.id],
      );
      expect(results).toEqual([{ n: 1 }]);
      const usage = await rows<{ n: number; stages: number }>(
        id,
        "select count(*)::int n, count(distinct stage)::int stages from usage_events where job_id = $1",
        [job.id],
      );
      expect(usage[0]!.n).toBeGreaterThan(0);
      expect(usage[0]!.n).toBe(usage[0]!.stages);
    }
  });

  test("is delivered by range through a signed URL, and refused once the URL was touched", async () => {
    const bytes = await sample();
    const job = await analyzeBytes(clientOf({ region }), bytes);
    const url = job.audio_url!;

    const whole = await fetch(url);
    expect(whole.status).toBe(200);
    expect(sha256(new Uint8Array(await whole.arrayBuffer()))).toBe(sha256(bytes));
    expect(whole.headers.get("content-type")).toBe("audio/wav");
    expect(whole.headers.get("accept-ranges")).toBe("bytes");
    expect(whole.headers.get("etag")).toBe(`"${sha256(bytes)}"`);

    const part = await fetch(url, { headers: { range: "bytes=100-199" } });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe(`bytes 100-199/${bytes.length}`);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(100, 200));

    const tail = await fetch(url, { headers: { range: "bytes=-10" } });
    expect(Buffer.from(await tail.arrayBuffer())).toEqual(bytes.subarray(-10));

    const beyond = await fetch(url, { headers: { range: `bytes=${bytes.length}-` } });
    expect(beyond.status).toBe(416);

    for (const name of ["exp", "sig", "own", "kid"]) {
      const touched = new URL(url);
      const value = touched.searchParams.get(name)!;
      touched.searchParams.set(name, name === "exp" ? String(Number(value) + 60) : `${value}x`);
      const refused = await fetch(touched);
      expect(refused.status, name).toBe(403);
      expect(await refused.json()).toMatchObject({ code: "invalid_signature" });
    }
  });
});

test("without a wish the nearest region takes the job", async () => {
  const client = clientOf();
  const declared = { content_type: "audio/wav", bytes: 1000 };
  // One that was held up a moment ago has a growing share of its requests, so it may take a while until it has had them all.
  await eventually(async () => {
    for (let n = 0; n < 15; n++) {
      if ((await client.createUpload(declared)).region !== "us-east") return undefined;
    }
    const job = await analyzeBytes(client, await sample());
    return job.region === "us-east" ? job : undefined;
  });
});

test("the same request with the same idempotency key is one job", async () => {
  const client = clientOf();
  const bytes = await sample();
  const upload = await client.createUpload({ content_type: "audio/wav", bytes: bytes.length });
  await client.putUpload(upload, new Blob([bytes]));
  const send = (parts: string[]) =>
    fetch(`${planet.edge}/v1/analyses`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${planet.keys.demo}`,
        "content-type": "application/json",
        "idempotency-key": `once-${upload.upload_id}`,
      },
      body: JSON.stringify({ upload_id: upload.upload_id, parts }),
    });
  const first = (await (await send(["voice_activity"])).json()) as { id: string };
  const again = await send(["voice_activity"]);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(await again.json()).toMatchObject({ id: first.id });
  const other = await send(["features"]);
  expect(other.status).toBe(422);
  expect(await other.json()).toMatchObject({ code: "idempotency_key_reused" });
  await client.waitForJob(first.id);
});

test("a short recording in the body is analysed in one call", async () => {
  const bytes = await sample();
  const response = await fetch(`${planet.edge}/v1/analyses?parts=voice_activity`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${planet.keys.demo}`,
      "content-type": "audio/wav",
      prefer: "wait=30",
    },
    body: bytes,
  });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({
    status: "succeeded",
    result: { audio: { sha256: sha256(bytes) } },
  });
});

test("a recording that was analysed before is answered at accept, and its job is one like any other", async () => {
  const bytes = await newSample();
  const send = async (headers: Record<string, string> = {}) => {
    const response = await fetch(`${planet.edge}/v1/analyses?parts=features,voice_activity,age`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${planet.keys.demo}`,
        "content-type": "audio/wav",
        // Each region knows what it has analysed itself.
        "x-antiphon-region": "us-east",
        ...headers,
      },
      body: bytes,
    });
    return { status: response.status, job: Job.parse(await response.json()) };
  };
  const first = await clientOf().waitForJob((await send()).job.id);
  expect(Object.values(first.result!.cache)).not.toContain("hit");

  const accepted = await send();
  expect(accepted.status).toBe(202);
  expect(accepted.job).toMatchObject({ status: "succeeded", cost: { usd: 0 } });
  const again = await send({ prefer: "wait=1" });
  expect(again.status).toBe(200);
  for (const { id } of [accepted.job, again.job]) {
    const { result, audio_url } = await clientOf().getJob(id);
    const { audio, features, voice_activity, age, engines } = first.result!;
    expect(result).toMatchObject({ audio, features, voice_activity, age, engines });
    expect(Object.values(result!.cache)).not.toContain("miss");
    expect((await fetch(audio_url!)).status).toBe(200);
    const row = await eventually(async () => {
      const query = "select status, usd::float8 from jobs where id = $1";
      const found = await rows<{ status: string; usd: number }>("us-east", query, [id]);
      return found[0];
    });
    expect(row).toEqual({ status: "succeeded", usd: 0 });
  }
});

test("the newest jobs are listed first, page by page", async () => {
  const client = clientOf();
  const made = [
    await analyzeBytes(client, await sample()),
    await analyzeBytes(client, await sample()),
  ];
  await eventually(async () => {
    const { data } = await client.listJobs({ limit: 50 });
    return made.every((job) => data.some(({ id }) => id === job.id)) ? data : undefined;
  });
  const first = await client.listJobs({ limit: 1 });
  const second = await client.listJobs({ limit: 1, cursor: first.next_cursor! });
  expect(first.data).toHaveLength(1);
  expect(second.data[0]!.created_at <= first.data[0]!.created_at).toBe(true);
  expect(second.data[0]!.id).not.toBe(first.data[0]!.id);
});

test("a job's data is deleted in every region, with a receipt that its published keys verify", async () => {
  const client = clientOf();
  const bytes = await newSample();
  const [kept, job] = [
    await analyzeBytes(client, await newSample()),
    await analyzeBytes(client, bytes),
  ];
  const { id } = await client.createDeletion({ job_id: job.id });
  await expect(client.getJob(job.id)).rejects.toMatchObject({ problem: { code: "job_not_found" } });
  expect((await fetch(job.audio_url!)).status).toBe(404);
  const receipt = await eventually(async () => {
    const found = await client.getDeletion(id);
    return found.status === "completed" ? found : undefined;
  });
  expect(receipt.regions.map(({ region }) => region).sort()).toEqual(
    regions.map((each) => each.id).sort(),
  );
  const home = receipt.regions.find(({ region }) => region === job.region)!;
  const objects = home.stores.find(({ store }) => store === "objects")!;
  expect(objects.removed).toMatchObject({ results: 1, uploads: 1, audio: 1 });
  expect(await verifyReceipt(await client.receiptKeys(), receipt)).toMatchObject({ id });
  const query = "select id from jobs where id = $1";
  expect(await rows("us-east", query, [job.id])).toEqual([]);
  expect((await client.getJob(kept.id)).result).toBeDefined();
});

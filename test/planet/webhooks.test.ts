import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { startEndpoint } from "../flow/webhooks/start-endpoint.ts";
import { clientOf, eventually, newSample, replayedIn } from "./planet-under-test.ts";

test("a job's end is told to the tenant's endpoint and to the job's own address, and again on demand by the same id", async () => {
  const client = clientOf({ region: "eu-west" });
  const [endpoint, own] = await Promise.all([startEndpoint(), startEndpoint()]);
  const { id, secret } = await client.webhooks.create({ url: endpoint.url, include_result: true });
  try {
    const { secret: tenantSecret } = await client.webhooks.rotate(undefined, { overlap_s: 0 });
    // A region signs by its own copy of the secrets.
    await replayedIn("eu-west");
    const bytes = await newSample();
    const upload = await client.createUpload({ content_type: "audio/wav", bytes: bytes.length });
    await client.putUpload(upload, new Blob([bytes]));
    const job = await client.createAnalysis({
      upload_id: upload.upload_id,
      parts: ["voice_activity"],
      webhook_url: own.url,
      metadata: { order: "17" },
    });
    const told = (by: typeof endpoint) => by.received.filter(({ body }) => body.includes(job.id));
    await expect.poll(() => told(endpoint).length, { timeout: 60_000 }).toBe(1);
    await expect.poll(() => told(own).length, { timeout: 60_000 }).toBe(1);
    const [first] = told(endpoint);
    expect(new Webhook(secret).verify(first!.body, first!.headers)).toMatchObject({
      type: "job.succeeded",
      data: { job_id: job.id, metadata: { order: "17" }, result: { region: "eu-west" } },
    });
    new Webhook(tenantSecret).verify(told(own)[0]!.body, told(own)[0]!.headers);

    const delivery = await eventually(async () => {
      const { data } = await client.webhooks.deliveries({ job_id: job.id, endpoint_id: id });
      return data.find(({ status }) => status === "delivered");
    });
    await client.webhooks.redeliver(delivery.id);
    await expect.poll(() => told(endpoint).length, { timeout: 60_000 }).toBe(2);
    const ids = new Set(told(endpoint).map(({ headers }) => headers["webhook-id"]));
    expect([...ids]).toEqual([delivery.webhook_id]);
  } finally {
    await client.webhooks.delete(id);
    await Promise.all([endpoint.close(), own.close()]);
  }
});

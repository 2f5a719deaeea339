import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import type { Run } from "../../../regions/queue/queue-port.ts";
import type { Analyzer } from "../../../regions/speech/analyze.ts";
import { createObjectStore } from "../../../regions/store/object-store.ts";
import { createRunJob } from "../../../regions/workers/run-job.ts";
import { openScratch } from "../../../regions/workers/scratch.ts";
import { createObjectStore as createStoreServer } from "../../../scripts/planet/object-store/create-object-store.ts";
import { uploadKey } from "../../../shared/contracts/object-keys.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { secretBox } from "../api/region-bench.ts";

test("an upload that is replaced while it is analysed never gets the address of what was heard", async () => {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-replaced-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const credentials = { accessKeyId: "AKTEST", secretAccessKey: "a-secret-of-the-test" };
  const server = await createStoreServer({
    dataDir: join(folder, "objects"),
    region: "us-east-1",
    bucket: "antiphon-test",
    credentials: [credentials],
    log: pino({ level: "silent" }),
  });
  onTestFinished(() => server.close());
  const endpoint = `http://127.0.0.1:${await server.listen(0)}`;
  const bucket = "antiphon-test";
  const objects = createObjectStore({ region: "us-east", bucket, endpoint, ...credentials });
  onTestFinished(() => objects.close());

  const spec = jobSpec();
  const key = uploadKey({ residency: spec.residency, tenantId: spec.tenant_id }, spec.upload_id);
  const put = (text: string) => objects.put(key, text, { contentType: "audio/wav" });
  await put("what was heard");
  // Stands for the time that an analysis takes: the upload's URL is still good then.
  const analyzer = {
    async plan() {
      return { identities: {}, unavailable: {} };
    },
    async analyze() {
      await put("what was not");
      return { audio: { container: "wav" }, timings_ms: { total: 0 }, made: {} };
    },
  } as unknown as Analyzer;
  const scratch = await openScratch(folder, "w1");
  const stages = { find: async () => ({}), keep: async () => undefined };
  const runJob = createRunJob({ secretBox, region: "us-east", objects, stages, analyzer, scratch });
  const run = { spec, epoch: { dispatch: 1, attempt: 1 }, startedAtMs: Date.now() } as Run;
  const signal = AbortSignal.timeout(30_000);
  await expect(runJob(run, { signal, onProgress: () => undefined })).rejects.toMatchObject({
    code: "dependency_unavailable",
  });
  expect(await objects.list("audio/", 10)).toEqual([]);
});

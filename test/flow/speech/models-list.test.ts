import { chmod, mkdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ModelList } from "../../../shared/contracts/models.ts";
import { createModelRoutes } from "../../../regions/api/model-routes.ts";
import { listEngines } from "../../../regions/speech/list-engines.ts";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import { makeFolder } from "./fixtures.ts";
import { ageSexModel, emotionModel, expected, install } from "./tiny-classifiers.ts";

let folder: Awaited<ReturnType<typeof makeFolder>>;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(() => folder.remove());

const PULLED_S = Date.parse("2026-11-01T12:00:00Z") / 1000;

async function list(searchPath = "") {
  const models = folder.path("models");
  await install([emotionModel], models);
  await utimes(join(models, "tiny-emotion@1", "emotion.onnx"), PULLED_S, PULLED_S);
  const own = await folder.write(
    "own.json",
    JSON.stringify({ models: [emotionModel, ageSexModel] }),
  );
  const routes = createModelRoutes({
    models: () => listEngines(loadManifest(own, models), searchPath),
  });
  const { data } = ModelList.parse(await (await routes.request("/internal/models")).json());
  return new Map(data.map((model) => [model.id, model]));
}

test("a region lists what is installed, what is not with the command that brings it, and no path", async () => {
  const models = await list();
  expect(models.get("tiny-emotion")).toEqual({
    id: "tiny-emotion",
    object: "model",
    created: PULLED_S,
    owned_by: "someone",
    task: "emotion",
    version: "1",
    model_sha256: expected.files["emotion.onnx"]!.sha256,
    licence: "MIT",
    commercial_use: true,
    quality: "full",
    memory_mb: 10,
    installed: true,
  });
  expect(models.get("tiny-age-sex")).toMatchObject({
    created: 0,
    installed: false,
    reason: "The model tiny-age-sex is not installed.",
    install: "npm run models -- pull tiny-age-sex",
  });
  expect(models.get("silero-vad")).toMatchObject({
    created: Date.parse("2026-09-16T03:53:56Z") / 1000,
    installed: true,
    owned_by: "livekit",
  });
  expect(models.get("whisper-base")).toMatchObject({
    installed: false,
    owned_by: "onnx-community",
  });
  expect(models.get("moonshine-base")).toMatchObject({
    installed: false,
    task: "transcribe",
    install: "npm run models -- pull moonshine-base",
  });
  // Nobody knows the hash of what is pinned by its first pull.
  expect(models.get("voice-sex")).toMatchObject({ model_sha256: null, installed: false });
  expect(JSON.stringify([...models])).not.toContain(folder.path(""));
});

test("engines without a model of the hub are listed as what they are", async () => {
  const models = await list();
  expect(models.get("flite")).toMatchObject({ installed: true, quality: "fallback" });
  expect(models.get("pocketsphinx")).toMatchObject({
    installed: false,
    install: expect.stringContaining("pocketsphinx") as string,
  });
  const programs = folder.path("bin");
  await mkdir(programs);
  await writeFile(join(programs, "pocketsphinx_batch"), "");
  await chmod(join(programs, "pocketsphinx_batch"), 0o755);
  const [without, with_] = [models.get("pocketsphinx"), (await list(programs)).get("pocketsphinx")];
  expect(without!.reason).toContain("No engine");
  expect(with_!.reason).not.toBe(without!.reason);
});

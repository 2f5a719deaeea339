import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadSession } from "../../../regions/speech/inference/load-session.ts";
import { loadManifest, ManifestError } from "../../../regions/speech/models/load-manifest.ts";
import type { Tensor } from "../../../regions/speech/models/model-entry.ts";
import { resolveModel } from "../../../regions/speech/models/resolve-model.ts";
import type { ModelFile } from "../../../regions/speech/models/resolve-model.ts";
import { makeFolder } from "./fixtures.ts";

type Session = Awaited<ReturnType<typeof loadSession>>;
const load: (model: ModelFile, options: { threads: number; cpuOnly: boolean }) => Promise<Session> =
  loadSession;

let folder: Awaited<ReturnType<typeof makeFolder>>;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(() => folder.remove());

const entry = {
  name: "tiny",
  version: "1.0",
  task: "transcribe",
  source: { type: "huggingface", repo: "someone/tiny", revision: "a".repeat(40) },
  files: [
    { path: "config.json", bytes: 2, sha256: "0".repeat(64) },
    { path: "onnx/model.onnx", bytes: 3, sha256: "1".repeat(64) },
  ],
  licence: "Apache-2.0",
  commercial_use: true,
  memory_mb: 1,
};
const [config, graph] = entry.files;
const own = async (...models: object[]) =>
  loadManifest(
    await folder.write("models.json", JSON.stringify({ models })),
    folder.path("models"),
  );

describe("the manifest that ships", () => {
  test("says of every graph what the graph says of itself", async () => {
    for (const model of loadManifest().models) {
      const found = resolveModel(loadManifest(), model.task, { name: model.name });
      if (found.status !== "ready") continue;
      for (const { path, inputs, outputs } of model.files) {
        if (inputs === undefined || outputs === undefined) continue;
        const session = await load(found.files.get(path)!, { threads: 1, cpuOnly: true });
        expectSame(inputs, session.inputMetadata);
        expectSame(outputs, session.outputMetadata);
        await session.release();
      }
    }
    expect(resolveModel(loadManifest(), "voice_activity")).toMatchObject({
      status: "ready",
      model: { name: "silero-vad" },
    });
  });
});

describe("a manifest of one's own", () => {
  test("is taken before the one that ships, which stays", async () => {
    const { models } = await own(entry);
    expect(models.map(({ name }) => name).slice(0, 2)).toEqual(["tiny", "silero-vad"]);
  });

  test("replaces a model of the same name, in whatever case", async () => {
    const { models } = await own({ ...entry, name: "Silero-VAD" });
    expect(models.filter(({ name }) => name.toLowerCase() === "silero-vad")).toMatchObject([
      { name: "Silero-VAD", task: "transcribe" },
    ]);
  });

  test.each([
    ["a path that climbs", "../../etc/passwd"],
    ["a path that climbs in its middle", "onnx/../../model.onnx"],
    ["an absolute path", "/etc/passwd"],
    ["a path of another system", "C:\\model.onnx"],
    ["a drive", "C:model.onnx"],
    ["a hidden name", ".ssh/authorized_keys"],
    ["a hidden file", "onnx/.netrc"],
    ["the folder itself", "."],
    ["an empty name", "onnx//model.onnx"],
    ["a control character", "onnx/mo\u0000del.onnx"],
    ["a line end", "model.onnx\n"],
    ["an encoded path", "..%2f..%2fmodel"],
    ["the name of an unfinished download", "model.onnx.part"],
    ["a name that ends in a dot", "onnx./model"],
    ["nothing", ""],
  ])("with %s for a file is refused", async (_, path) => {
    await expect(own({ ...entry, files: [{ ...graph, path }] })).rejects.toThrow(ManifestError);
    await expect(own({ ...entry, files: [{ ...graph, path }] })).rejects.toThrow(
      "models.0.files.0.path",
    );
  });

  test.each([
    ["a name that climbs", { name: ".." }, "models.0.name"],
    ["a name with a slash", { name: "a/b" }, "models.0.name"],
    ["a version that climbs", { version: "../1" }, "models.0.version"],
    ["a branch", { source: { ...entry.source, revision: "main" } }, "a branch or tag can move"],
    ["a repository that climbs", { source: { ...entry.source, repo: "../x" } }, "source.repo"],
    ["a package that climbs", { source: { type: "npm", package: "../x" } }, "source.package"],
    ["no hash", { files: [{ ...graph, sha256: null }] }, "files.0.sha256"],
    ["a size that is none", { files: [{ ...graph, bytes: 0 }] }, "files.0.bytes"],
    ["no file", { files: [] }, "models.0.files"],
    ["the same file twice", { files: [graph, { ...graph, path: "ONNX/model.onnx" }] }, "clashes"],
    ["a file below a file", { files: [config, { ...graph, path: "config.json/x" }] }, "clashes"],
    ["a field that is none", { sha1: "x" }, "sha1"],
  ])("with %s is refused", async (_, change, reason) => {
    await expect(own({ ...entry, ...change })).rejects.toThrow(reason);
  });

  test("that names a model twice, is no JSON or is not there is refused, and named", async () => {
    await expect(own(entry, entry)).rejects.toThrow("two models have the same name");
    await folder.write("broken.json", "{");
    expect(() => loadManifest(folder.path("broken.json"))).toThrow(/broken\.json cannot be read/);
    expect(() => loadManifest(folder.path("none.json"))).toThrow(/none\.json cannot be read/);
  });
});

describe("a model from the hub", () => {
  test("is ready when every file is there in full, and says what brings it when not", async () => {
    const manifest = await own(entry);
    const models = folder.path("models");
    const resolve = () => resolveModel(manifest, "transcribe");
    const install = "npm run models -- pull tiny";
    expect(resolve()).toEqual({
      status: "unavailable",
      reason: "The model tiny is not installed.",
      install,
    });

    const put = async (path: string, content: string) => {
      const file = join(models, "tiny@1.0", path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      return file;
    };
    const small = await put("config.json", "{}");
    expect(resolve()).toMatchObject({
      reason: "The model tiny is damaged: onnx/model.onnx is missing.",
      install,
    });
    await put("onnx/model.onnx", "12");
    expect(resolve()).toMatchObject({
      reason: "The model tiny is damaged: onnx/model.onnx has 2 bytes instead of 3.",
      install,
    });
    const model = await put("onnx/model.onnx", "123");
    expect(resolve()).toMatchObject({ status: "ready", model: { path: small } });
    expect(resolve()).toHaveProperty(
      "files",
      new Map([
        ["config.json", { name: "tiny", version: "1.0", path: small, sha256: config!.sha256 }],
        ["onnx/model.onnx", { name: "tiny", version: "1.0", path: model, sha256: graph!.sha256 }],
      ]),
    );
    await rm(model);
    await mkdir(model);
    expect(resolve()).toMatchObject({ status: "unavailable", install });
  });

  test("that is here is taken before one that is not, unless it is asked for by name", async () => {
    const manifest = await own({ ...entry, task: "voice_activity" });
    expect(resolveModel(manifest, "voice_activity")).toMatchObject({
      status: "ready",
      model: { name: "silero-vad" },
    });
    const empty = { ...manifest, folder: folder.path("empty") };
    expect(resolveModel(empty, "voice_activity", { name: "tiny" }).status).toBe("unavailable");
    expect(resolveModel({ models: [] }, "emotion")).toEqual({
      status: "unavailable",
      reason: "No model for emotion is in the manifest.",
    });
  });
});

/** Names and types are the same, and so is every size that both know. */
function expectSame(manifest: Record<string, Tensor>, session: Session["inputMetadata"]): void {
  expect(session.map(({ name }) => name).toSorted()).toEqual(Object.keys(manifest).toSorted());
  for (const { name, ...value } of session) {
    const { type, shape } = manifest[name]!;
    if (!value.isTensor) throw new Error(`${name} is no tensor`);
    expect(type, name).toBe(value.type);
    expect(shape, name).toHaveLength(value.shape.length);
    for (const [at, size] of value.shape.entries()) {
      if (typeof size === "number" && typeof shape[at] === "number") {
        expect(shape[at], name).toBe(size);
      }
    }
  }
}

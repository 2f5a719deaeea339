import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import type { ModelEntry } from "../../../regions/speech/models/model-entry.ts";
import { resolveModel } from "../../../regions/speech/models/resolve-model.ts";
import { addModel } from "../../../scripts/models/add-model.ts";
import type { NewModel } from "../../../scripts/models/add-model.ts";
import { checkModel } from "../../../scripts/models/check-model.ts";
import { patience } from "../../../scripts/models/download-file.ts";
import { hashFile } from "../../../scripts/models/hash-file.ts";
import { pinModel } from "../../../scripts/models/pin-model.ts";
import { pullModel } from "../../../scripts/models/pull-model.ts";
import { makeFolder } from "./fixtures.ts";
import { modelOf, noise, REVISION, sha256, startHub, unpinned } from "./models-hub.ts";
import type { Answer, Hub } from "./models-hub.ts";

const SIZE = 200_000;
const graph = noise(SIZE);
const files = { "onnx/model.onnx": graph, "config.json": Buffer.from('{"a":1}') };
const OTHER = "f".repeat(40);
const api = "/api/models/someone/tiny/revision/main?blobs=true";

let scratch: Awaited<ReturnType<typeof makeFolder>>;
let hub: Hub;
let models: string;
let manifest: string;
let waits: number[];
let at = 0;
beforeAll(async () => {
  scratch = await makeFolder();
});
afterAll(() => scratch.remove());
beforeEach(async () => {
  hub = await startHub(files);
  at += 1;
  models = scratch.path(`models-${at}`);
  manifest = scratch.path(`manifest-${at}.json`);
  waits = [];
  await write(unpinned(modelOf(files)));
});
afterEach(() => hub.close());

const write = (entry: ModelEntry) => writeFile(manifest, JSON.stringify({ models: [entry] }));
const load = () => loadManifest(manifest, models);
const listed = () => load().models.find(({ name }) => name === "tiny")!;
const options = () => ({
  folder: models,
  endpoint: hub.endpoint,
  signal: AbortSignal.timeout(20_000),
  patience: { ...patience, wait: async (ms: number) => void waits.push(ms) },
});

/** As `npm run models -- pull` does. */
async function pull(): Promise<void> {
  const found = await pinModel(listed(), options());
  await pullModel(found.entry, { ...options(), contents: found.contents });
  await found.keep();
}
const failure = (running: Promise<unknown>) =>
  running.then(
    () => {
      throw new Error("It did not fail.");
    },
    (error: Error) => error.message,
  );
const installed = (path: string) => join(models, "tiny@1.0", path);
const pins = () => join(models, ".pins", "tiny@1.0.json");
const state = async () => (await checkModel(listed(), models, (path) => hashFile(path))).state;
const expectNothing = () => {
  expect(existsSync(pins())).toBe(false);
  expect(existsSync(join(models, "tiny@1.0"))).toBe(false);
};

describe("the first pull of a model without hashes", () => {
  test("finds the commit, installs what the hub published for it, and keeps both", async () => {
    expect(resolveModel(load(), "transcribe")).toEqual({
      status: "unavailable",
      reason: "The model tiny is not installed.",
      install: "npm run models -- pull tiny",
    });
    await pull();
    expect(graph.equals(await readFile(installed("onnx/model.onnx")))).toBe(true);
    expect(JSON.parse(await readFile(pins(), "utf8"))).toEqual({
      repo: "someone/tiny",
      revision: "main",
      commit: REVISION,
      pinned_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      files: Object.entries(files).map(([path, content]) => ({
        path,
        bytes: content.length,
        sha256: sha256(content),
      })),
    });
    expect(await state()).toBe("ready");
    expect(resolveModel(load(), "transcribe")).toMatchObject({
      status: "ready",
      model: { sha256: sha256(graph) },
      entry: { source: { revision: REVISION } },
    });
    // The list, the small file to know its hash, the large one; each once.
    expect(hub.requests.map(({ path }) => path)).toEqual([
      api,
      `/someone/tiny/resolve/${REVISION}/config.json`,
      `/someone/tiny/resolve/${REVISION}/onnx/model.onnx`,
    ]);
  });

  test("is held to by every later one, wherever the branch has moved", async () => {
    await pull();
    hub.put("onnx/model.onnx", noise(SIZE, 2));
    hub.move(OTHER);
    hub.requests.length = 0;
    await pull();
    expect(hub.requests).toEqual([]);
    await writeFile(installed("onnx/model.onnx"), noise(SIZE, 3));
    expect(await state()).toBe("damaged");
    // The commit that it was pinned to is asked for, not the branch.
    hub.move(REVISION);
    expect(await failure(pull())).toContain(`has the SHA-256 ${sha256(noise(SIZE, 2))}`);
    expect(await state()).toBe("damaged");
    hub.put("onnx/model.onnx", graph);
    await pull();
    expect(await state()).toBe("ready");
    expect(hub.requests.map(({ path }) => path)).not.toContain(api);
  });

  test("that was cut goes on where it was, also when the branch moves on with the same file", async () => {
    const cut: Answer = (response) => {
      response.writeHead(200, { "content-length": SIZE, etag: `"${sha256(graph)}"` });
      response.write(graph.subarray(0, 50_000));
    };
    hub.next(hub.serve, hub.serve, cut);
    const stop = new AbortController();
    const found = await pinModel(listed(), options());
    const cutOff = pullModel(found.entry, {
      ...options(),
      contents: found.contents,
      signal: stop.signal,
      onBytes: ({ path }, have) => {
        if (path === "onnx/model.onnx" && have === 50_000) stop.abort(new Error("enough"));
      },
    });
    await expect(cutOff).rejects.toThrow("enough");
    expectNothing();
    hub.move(OTHER);
    hub.requests.length = 0;
    await pull();
    expect(hub.requests.at(-1)!.headers.range).toBe("bytes=50000-");
    expect(listed().source).toMatchObject({ revision: OTHER });
    expect(await state()).toBe("ready");
  });

  test("without a hub says so, with what to do", async () => {
    const gone = await startHub();
    await gone.close();
    const error = await failure(pinModel(listed(), { ...options(), endpoint: gone.endpoint }));
    expect(error).toMatch(/cannot reach .* \(ECONNREFUSED\)/);
    expect(error).toContain("HF_ENDPOINT=");
    expect(error).toContain("tiny@1.0 and .pins/tiny@1.0.json");
    expectNothing();
  });

  test("waits for a hub that is busy, and not for ever", async () => {
    hub.next(
      (response) => void response.writeHead(429, { "retry-after": "7" }).end(),
      (response) => void response.writeHead(503).end(),
    );
    await pull();
    expect(waits).toEqual([7000, 2000]);
    hub.always((response) => void response.writeHead(503).end());
    await write(unpinned(modelOf(files), "v1"));
    expect(await failure(pull())).toContain("answers 503, 6 times");
  });
});

describe("a hub that does not say what is so", () => {
  test("of a large file: what came is not installed, and nothing is believed", async () => {
    hub.tell((listing) => ({
      ...listing,
      siblings: listing.siblings.map((file) =>
        file.lfs ? { ...file, lfs: { ...file.lfs, sha256: "0".repeat(64) } } : file,
      ),
    }));
    expect(await failure(pull())).toContain(`has the SHA-256 ${sha256(graph)}, not 000`);
    expectNothing();
  });

  test("of a small file is found out by its hash in git", async () => {
    hub.tell((listing) => ({
      ...listing,
      siblings: listing.siblings.map((file) => ({ ...file, blobId: "0".repeat(40) })),
    }));
    expect(await failure(pull())).toContain("config.json is not what the hub lists for the commit");
    expectNothing();
  });

  test.each([
    ["no hash of a small file", { blobId: null }, "gives no hash of config.json"],
    ["a small file that is huge", { size: 17 * 1024 * 1024 }, "gives no hash of config.json"],
    ["a length that is too small", { size: 3 }, "has more than 3 bytes"],
    ["an empty file", { size: 0 }, "config.json of someone/tiny is empty"],
    ["another name", { rfilename: "../../config.json" }, "has no config.json at main"],
    ["a length below zero", { size: -1 }, "gives no list of the files"],
  ])("by %s is refused", async (_, change, message) => {
    hub.tell((listing) => ({
      ...listing,
      siblings: listing.siblings.map((file) => (file.lfs ? file : { ...file, ...change })),
    }));
    expect(await failure(pull())).toContain(message);
    expectNothing();
  });

  test.each([
    ["no list", () => "no JSON of ours", "gives no list of the files"],
    ["no commit", (listing: object) => ({ ...listing, sha: "main" }), "gives no list of the files"],
    ["a list without end", () => "x".repeat(17 * 1024 * 1024), "more than 16777216 bytes"],
  ])("with %s is refused", async (_, change, message) => {
    hub.tell(change);
    expect(await failure(pull())).toContain(message);
    expectNothing();
  });

  test("of the commit that was asked for is refused", async () => {
    await write(unpinned(modelOf(files), OTHER));
    expect(await failure(pull())).toContain(`gives the commit ${REVISION}`);
    expectNothing();
  });

  test("of a file whose hash the manifest has is refused", async () => {
    const model = unpinned(modelOf(files));
    await write({
      ...model,
      files: [
        { path: "onnx/model.onnx", bytes: SIZE, sha256: "1".repeat(64) },
        ...model.files.slice(1),
      ],
    });
    expect(await failure(pull())).toContain("onnx/model.onnx of someone/tiny is no longer what");
    expectNothing();
  });

  test("because there is no such branch or model says so", async () => {
    await write({
      ...unpinned(modelOf(files)),
      source: { type: "huggingface", repo: "someone/none", revision: "main" },
    });
    expect(await failure(pull())).toContain("answers 404");
  });
});

describe("pins", () => {
  test("that are broken take the model away until somebody decides; others stay", async () => {
    await pull();
    await writeFile(pins(), "{");
    expect(resolveModel(load(), "transcribe", { name: "tiny" })).toEqual({
      status: "unavailable",
      reason: expect.stringMatching(/tiny cannot be used: .*holds no pins any more/) as string,
    });
    expect(resolveModel(load(), "voice_activity").status).toBe("ready");
  });

  test("with paths that climb are not taken", async () => {
    await mkdir(dirname(pins()), { recursive: true });
    const file = { path: "../../model.onnx", bytes: 1, sha256: "0".repeat(64) };
    await writeFile(
      pins(),
      JSON.stringify({
        repo: "someone/tiny",
        revision: "main",
        commit: REVISION,
        pinned_at: new Date().toISOString(),
        files: [file],
      }),
    );
    expect(load().unusable?.get("tiny")).toContain("holds no pins any more");
  });

  test.each([
    ["of another branch", { revision: "v2" }],
    ["of another repository", { repo: "someone/else" }],
  ])("%s are not those of the model", async (_, change) => {
    await pull();
    const model = unpinned(modelOf(files));
    await write({ ...model, source: { ...model.source, ...change } as ModelEntry["source"] });
    expect(resolveModel(load(), "transcribe", { name: "tiny" }).status).toBe("unavailable");
  });

  test("do not stand for a file that the manifest has and they have not", async () => {
    await pull();
    const model = unpinned(modelOf(files));
    await write({ ...model, files: [...model.files, { path: "more.json" }] });
    expect(resolveModel(load(), "transcribe", { name: "tiny" }).status).toBe("unavailable");
    hub.put("more.json", Buffer.from("[]"));
    await pull();
    expect(await state()).toBe("ready");
  });
});

describe("a model that is added", () => {
  const model: NewModel = {
    repo: "someone/tiny",
    revision: "main",
    task: "emotion",
    name: "mine",
    files: ["onnx/model.onnx", "config.json"],
  };
  const add = (changes: Partial<NewModel> = {}) =>
    addModel({ ...model, ...changes }, { ...options(), manifest });

  test("stands in one's own manifest with its commit and hashes, and is pulled as it was then", async () => {
    const added = await add();
    expect(added).toMatchObject({
      source: { revision: REVISION },
      licence: "Apache-2.0",
      commercial_use: true,
      memory_mb: 1,
    });
    expect(existsSync(models)).toBe(false);
    const entry = load().models.find(({ name }) => name === "mine")!;
    expect(entry.files.map((file) => file.sha256)).toEqual(Object.values(files).map(sha256));
    expect(load().models[0]).toMatchObject({ name: "tiny" });
    const found = await pinModel(entry, options());
    await pullModel(found.entry, options());
    expect(resolveModel(load(), "emotion")).toMatchObject({ status: "ready" });
    expect(await readdir(models)).not.toContain(".pins");
  });

  test("makes the manifest where there is none", async () => {
    const fresh = scratch.path(`fresh-${at}/own.json`);
    await addModel(model, { ...options(), manifest: fresh });
    expect(loadManifest(fresh, models).models[0]).toMatchObject({ name: "mine" });
  });

  test("of a licence that nobody knows here may not earn money", async () => {
    hub.tell((listing) => ({ ...listing, cardData: { license: "Our Own/License" } }));
    expect(await add()).toMatchObject({
      licence: "LicenseRef-our-own-license",
      commercial_use: false,
    });
    expect(await add({ name: "told", licence: "MIT", commercialUse: true })).toMatchObject({
      licence: "MIT",
      commercial_use: true,
    });
  });

  test.each([
    ["with a path that climbs", { files: ["../model.onnx"] }, "files.0.path"],
    ["with a name that climbs", { name: "../x" }, "name"],
    ["for a task that is none", { task: "sing" }, "task"],
    ["of a repository that climbs", { repo: "../x" }, "source.repo"],
    ["of a branch that climbs", { revision: "../main" }, "source.revision"],
    ["of a file that is not there", { files: ["none.onnx"] }, "has no none.onnx at main"],
    ["twice", { name: "TINY" }, "has a model TINY already"],
  ])("%s is refused, and the manifest stays as it is", async (_, changes, message) => {
    const before = await readFile(manifest, "utf8");
    expect(await failure(add(changes))).toContain(message);
    expect(await readFile(manifest, "utf8")).toBe(before);
  });

  test("to what is no manifest is refused, and the file stays as it is", async () => {
    await writeFile(manifest, "mine");
    expect(await failure(add())).toContain("is not a manifest of models");
    expect(await readFile(manifest, "utf8")).toBe("mine");
  });
});

test("the models that ship are those that their manifest says, each with a command that brings it", () => {
  const { models: shipped, unusable } = loadManifest(undefined, models);
  expect(unusable?.size).toBe(0);
  const names = shipped.map(({ name }) => name);
  for (const name of ["whisper-tiny", "whisper-base", "whisper-small", "whisper-large-v3-turbo"]) {
    expect(names).toContain(name);
  }
  for (const entry of shipped) {
    const found = resolveModel({ models: [entry], folder: models }, entry.task);
    if (entry.source.type === "npm") continue;
    expect(found).toMatchObject({ install: `npm run models -- pull ${entry.name}` });
    // What was not seen here is said.
    expect(entry.unverified, entry.name).toMatch(/\w/);
    if (
      entry.task === "emotion" ||
      entry.task === "age_sex" ||
      entry.task === "speaker_embedding"
    ) {
      expect(entry.classifier, entry.name).toBeDefined();
    }
  }
});

import { lstat, mkdir, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { patience } from "../../../scripts/models/download-file.ts";
import { PullError } from "../../../scripts/models/pull-error.ts";
import { modelOf, noise, REVISION, startHub } from "./models-hub.ts";
import {
  SIZE,
  HALF,
  graph,
  entry,
  files,
  graphPath,
  scratch,
  hub,
  models,
  waits,
  pull,
  failure,
  installed,
  staged,
  startHubAgain,
  part,
  ofGraph,
  expectInstalled,
  expectNotInstalled,
  forGraph,
  cutAt,
  interruptAt,
} from "./models-under-pull.ts";

describe("a pull", () => {
  test("installs every file of the revision, and tells how it goes", async () => {
    const heard = new Map<string, number>();
    const result = await pull({ onBytes: ({ path }, have) => heard.set(path, have) });
    expect(result).toEqual({ installed: true, folder: join(models, "tiny@1.0") });
    await expectInstalled();
    expect(Object.fromEntries(heard)).toEqual({ "config.json": 2, "onnx/model.onnx": SIZE });
    expect(hub.requests.map(({ path }) => path)).toEqual([
      `/someone/tiny/resolve/${REVISION}/config.json`,
      graphPath,
    ]);
    for (const { headers } of hub.requests) {
      expect(headers).toMatchObject({ "accept-encoding": "identity" });
      expect(headers).not.toHaveProperty("authorization");
      expect(headers).not.toHaveProperty("range");
    }
    expect(await readdir(models)).toEqual([".partial", "tiny@1.0"]);
    expect(await readdir(join(models, ".partial"))).toEqual(["tiny@1.0.lock"]);
    expect(await readdir(installed("onnx"))).toEqual(["model.onnx"]);
  });

  test("of what is here asks nothing", async () => {
    await pull();
    hub.requests.length = 0;
    expect(await pull()).toMatchObject({ installed: false });
    expect(hub.requests).toEqual([]);
  });

  test("gives its token to the hub and not to the store that the hub points to", async () => {
    const store = await startHub(files);
    hub.always((response, { url }) => {
      response.writeHead(302, { location: new URL(url!, store.endpoint).href }).end();
    });
    await pull({ token: "hf_secret" });
    await expectInstalled();
    expect(hub.requests.map(({ headers }) => headers.authorization)).toEqual([
      "Bearer hf_secret",
      "Bearer hf_secret",
    ]);
    expect(store.requests).toHaveLength(2);
    for (const { headers } of store.requests) expect(headers).not.toHaveProperty("authorization");
    await store.close();
  });

  test("follows a path to another on the same server", async () => {
    forGraph((response) => void response.writeHead(307, { location: graphPath }).end());
    await pull();
    await expectInstalled();
  });

  test.each([
    ["plain http elsewhere", "http://models.example/x", "only https is followed"],
    ["a file", "file:///etc/passwd", "only https is followed"],
    ["an address with credentials", "https://user:secret@models.example/x", "carries credentials"],
    ["nowhere", "http://", "redirects to nowhere"],
    ["itself, for ever", graphPath, "redirects more than 8 times"],
  ])("does not follow a redirect to %s", async (_, location, reason) => {
    hub.always((response) => void response.writeHead(302, { location }).end());
    const error = await failure(pull());
    expect(error).toBeInstanceOf(PullError);
    expect(error.message).toContain(reason);
    expect(error.message).not.toContain("secret");
    expect(waits).toEqual([]);
  });

  test("asks no hub over plain http, save on this machine", async () => {
    const error = await failure(pull({ endpoint: new URL("http://models.example") }));
    expect(error).toMatchObject({ message: expect.stringContaining("only https") as string });
  });

  test("does nothing while another one fetches the same model, and goes on after it", async () => {
    const held = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    hub.next(async (response, request) => {
      asked.resolve();
      await held.promise;
      await hub.serve(response, request);
    });
    const first = pull();
    await asked.promise;
    await expect(pull()).rejects.toThrow("Another process is fetching tiny already.");
    expect(hub.requests).toHaveLength(1);
    held.resolve();
    expect(await first).toMatchObject({ installed: true });
    expect(await pull()).toMatchObject({ installed: false });
  });

  test("does not begin what the disk has no room for", async () => {
    const error = await failure(pull({ freeBytes: async () => 67_000_000 }));
    expect(error.message).toMatch(/tiny needs 68 MB more on the disk of .*, which has 67 MB left/);
    expect(hub.requests).toEqual([]);
    await interruptAt(HALF);
    // What is here already needs no room: 64 MiB stay free, 200 kB are to come.
    await pull({ freeBytes: async () => 64 * 1024 * 1024 + SIZE - HALF });
    await expectInstalled();
  });

  test("of a model from npm says what brings it", async () => {
    const npm = { ...entry, source: { type: "npm", package: "@antiphon/none" } } as const;
    await expect(pull({}, npm)).rejects.toThrow(
      "tiny comes with the npm package @antiphon/none and is not installed. To install it: npm ci",
    );
  });
});

describe("a hub that refuses", () => {
  test("because there is no such file is not asked twice", async () => {
    const other = modelOf({ ...files, "none.bin": Buffer.from("x") });
    await expect(pull({}, other)).rejects.toThrow(
      /answers 404: there is no \/someone\/.*none\.bin/,
    );
    expect(waits).toEqual([]);
    expectNotInstalled();
  });

  test.each([
    ["without a token", undefined, 401, "set HF_TOKEN"],
    ["with one", "hf_secret", 403, "HF_TOKEN does not open"],
  ])("because terms were not accepted says so, %s", async (_, token, status, advice) => {
    hub.always((response) => void response.writeHead(status).end());
    const error = await failure(pull({ token }));
    expect(error.message).toContain(`answers ${status}`);
    expect(error.message).toContain(advice);
    expect(error.message).not.toContain("hf_secret");
    expect(hub.requests).toHaveLength(1);
  });

  test.each([
    ["429", 429],
    ["503", 503],
  ])("for now (%s) is asked again when it said so", async (_, status) => {
    hub.next(
      (response) => void response.writeHead(status, { "retry-after": "7" }).end("later"),
      (response) => {
        const date = new Date(Date.now() + 60_000).toUTCString();
        response.writeHead(status, { "retry-after": date }).end();
      },
      (response) => void response.writeHead(status, { "retry-after": "soon" }).end(),
    );
    await pull();
    await expectInstalled();
    expect(waits).toHaveLength(3);
    expect(waits[0]).toBe(7000);
    expect(waits[1]).toBeGreaterThan(40_000);
    expect(waits[1]).toBeLessThanOrEqual(60_000);
    expect(waits[2]).toBe(4000);
  });

  test("for longer than anyone waits is not waited for", async () => {
    hub.always((response) => void response.writeHead(429, { "retry-after": "3600" }).end());
    await expect(pull()).rejects.toThrow("answers 429, and asks to wait 60 minutes");
    expect(waits).toEqual([]);
  });

  test("for ever is given up", async () => {
    hub.always((response) => void response.writeHead(503).end());
    await expect(pull()).rejects.toThrow("answers 503, 6 times");
    expect(hub.requests).toHaveLength(6);
  });
});

describe("no hub at all", () => {
  test("is told at once, with the ways out", async () => {
    const gone = await startHub();
    await gone.close();
    const error = await failure(pull({ endpoint: gone.endpoint }));
    expect(error).toBeInstanceOf(PullError);
    expect(error.message).toContain(`cannot reach ${gone.endpoint.host} (ECONNREFUSED).`);
    expect(error.message).toContain("HF_ENDPOINT=");
    expect(error.message).toContain(`https://huggingface.co/someone/tiny/tree/${REVISION}`);
    expect(error.message).toContain(join(models, "tiny@1.0"));
    expect(waits).toEqual([]);
  });

  test("that was there a moment ago is waited for", async () => {
    const { answer, onBytes } = cutAt(HALF);
    forGraph(answer);
    const error = await failure(
      pull({
        onBytes,
        patience: {
          ...patience,
          wait: async (ms) => {
            if (waits.push(ms) === 1) await hub.close();
          },
        },
      }),
    );
    await startHubAgain();
    expect(error.message).toMatch(/cannot reach .* \(ECONNREFUSED\), 6 times/);
    expect((await lstat(part())).size).toBe(HALF);
    await pull();
    await expectInstalled();
    expect(hub.sent()).toBe(SIZE - HALF);
  });
});

describe("what lies in the models folder", () => {
  test("damaged is mended: only what is wrong is fetched", async () => {
    await pull();
    await writeFile(installed(), noise(SIZE, 2));
    hub.requests.length = 0;
    expect(await pull()).toMatchObject({ installed: true });
    await expectInstalled();
    expect(hub.requests.map(({ path }) => path)).toEqual([graphPath]);
    expect(await readdir(join(models, ".partial"))).toEqual(["tiny@1.0.lock"]);
  });

  test("stays in use while its mending fails", async () => {
    await pull();
    await writeFile(installed("config.json"), "[]");
    hub.put("config.json", Buffer.from("??"));
    await expect(pull()).rejects.toThrow("has the SHA-256");
    expect(graph.equals(await readFile(installed()))).toBe(true);
  });

  test("as a link leads no byte elsewhere", async () => {
    const outside = scratch.path("outside-file");
    await mkdir(outside);
    await writeFile(join(outside, "model.onnx.part"), "mine");
    await mkdir(dirname(staged("onnx")), { recursive: true });
    await mkdir(staged("."), { recursive: true });
    await symlink(outside, staged("onnx"));
    await symlink(join(outside, "model.onnx.part"), staged("config.json"));
    await symlink(join(outside, "new"), staged("config.json.part"));
    await pull();
    await expectInstalled();
    expect(await readdir(outside)).toEqual(["model.onnx.part"]);
    expect(await readFile(join(outside, "model.onnx.part"), "utf8")).toBe("mine");
    expect((await lstat(installed("config.json"))).isFile()).toBe(true);
    expect((await lstat(installed("onnx"))).isSymbolicLink()).toBe(false);
  });

  test("as a link in place of its own folder is not written to", async () => {
    const outside = scratch.path("outside-folder");
    await mkdir(outside);
    await mkdir(models);
    await symlink(outside, join(models, ".partial"));
    await expect(pull()).rejects.toThrow("is not a folder of its own");
    expect(await readdir(outside)).toEqual([]);
    await rm(join(models, ".partial"));
    await mkdir(join(models, ".partial"));
    await symlink(outside, join(models, ".partial/tiny@1.0"));
    await symlink(outside, join(models, "tiny@1.0"));
    await pull();
    expect(await readdir(outside)).toEqual([]);
    expect((await lstat(join(models, "tiny@1.0"))).isDirectory()).toBe(true);
  });

  test("of an older version of the manifest is not installed with the rest", async () => {
    await mkdir(staged("old"), { recursive: true });
    await writeFile(staged("old/model.onnx"), "old");
    await writeFile(staged("old.json"), "old");
    await writeFile(staged("config.json"), "[]");
    await pull();
    await expectInstalled();
    expect(await readdir(join(models, "tiny@1.0"))).toEqual(["config.json", "onnx"]);
  });

  test("whole from an earlier pull is installed without what was left beside it", async () => {
    await mkdir(staged("onnx"), { recursive: true });
    await writeFile(staged("onnx/model.onnx"), graph);
    await writeFile(part(), "left");
    await pull();
    await expectInstalled();
    expect(ofGraph()).toEqual([]);
    expect(await readdir(installed("onnx"))).toEqual(["model.onnx"]);
  });
});

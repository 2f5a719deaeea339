import { existsSync } from "node:fs";
import { lstat, mkdir, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { patience } from "../../../scripts/models/download-file.ts";
import { PullError } from "../../../scripts/models/pull-error.ts";
import { pullModel } from "../../../scripts/models/pull-model.ts";
import type { PullOptions } from "../../../scripts/models/pull-model.ts";
import { makeFolder } from "./fixtures.ts";
import { modelOf, noise, REVISION, sha256, startHub } from "./models-hub.ts";
import type { Answer, Hub } from "./models-hub.ts";

const SIZE = 300_000;
const HALF = 100_000;
const graph = noise(SIZE);
const files = { "config.json": Buffer.from("{}"), "onnx/model.onnx": graph };
const entry = modelOf(files);
const graphPath = `/someone/tiny/resolve/${REVISION}/onnx/model.onnx`;

let scratch: Awaited<ReturnType<typeof makeFolder>>;
let hub: Hub;
let models: string;
let at = 0;
let waits: number[];
beforeAll(async () => {
  scratch = await makeFolder();
});
afterAll(() => scratch.remove());
beforeEach(async () => {
  hub = await startHub(files);
  models = scratch.path(`models-${++at}`);
  waits = [];
});
afterEach(() => hub.close());

const pull = (options: Partial<PullOptions> = {}, model = entry) =>
  pullModel(model, {
    folder: models,
    endpoint: hub.endpoint,
    signal: AbortSignal.timeout(30_000),
    patience: {
      ...patience,
      backoffMs: 1000,
      // Nobody waits in a test; how long it would have been is looked at.
      wait: async (ms) => void waits.push(ms),
    },
    ...options,
  });
const failure = (running: Promise<unknown>) =>
  running.then(
    () => {
      throw new Error("It did not fail.");
    },
    (error: unknown) => error as Error,
  );
const installed = (path = "onnx/model.onnx") => join(models, "tiny@1.0", path);
const staged = (path: string) => join(models, ".partial/tiny@1.0", path);
const part = () => staged("onnx/model.onnx.part");
const ofGraph = () => hub.requests.filter(({ path }) => path === graphPath);
const expectInstalled = async () => {
  expect(graph.equals(await readFile(installed()))).toBe(true);
  expect(await readFile(installed("config.json"), "utf8")).toBe("{}");
};
const expectNotInstalled = () => expect(existsSync(join(models, "tiny@1.0"))).toBe(false);

/** The first answer is to the small file; then come these, one for each request for the large one. */
const forGraph = (...answers: Answer[]) => hub.next(hub.serve, ...answers);

/** Sends the first bytes of a content, and breaks the line when they have arrived. */
function cutAt(bytes: number, content = graph, etag = `"${sha256(content)}"`) {
  const arrived = Promise.withResolvers<void>();
  const answer: Answer = async (response) => {
    response.writeHead(200, { "content-length": content.length, etag });
    response.write(content.subarray(0, bytes));
    hub.count(bytes);
    await arrived.promise;
    response.destroy();
  };
  const onBytes: PullOptions["onBytes"] = ({ path }, have) => {
    if (path === "onnx/model.onnx" && have >= bytes) arrived.resolve();
  };
  return { answer, onBytes };
}

/** Leaves a pull unfinished after so many bytes of the large file, as Ctrl-C does. */
async function interruptAt(bytes: number, content = graph): Promise<void> {
  const stop = new AbortController();
  const reason = new Error("enough");
  const { answer, onBytes } = cutAt(bytes, content);
  forGraph(answer);
  const running = pull({
    signal: stop.signal,
    onBytes: (file, have) => {
      onBytes(file, have);
      if (file.path === "onnx/model.onnx" && have >= bytes) stop.abort(reason);
    },
  });
  await expect(running).rejects.toBe(reason);
  expect((await lstat(part())).size).toBe(bytes);
  expectNotInstalled();
  hub.requests.length = 0;
}

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

describe("a connection that breaks", () => {
  test("is taken up where it broke: no byte is fetched twice", async () => {
    const { answer, onBytes } = cutAt(HALF);
    forGraph(answer);
    const troubles: string[] = [];
    await pull({ onBytes, onTrouble: (message) => troubles.push(message) });
    await expectInstalled();
    expect(ofGraph()).toHaveLength(2);
    expect(ofGraph()[1]!.headers).toMatchObject({
      range: `bytes=${HALF}-`,
      "if-range": `"${sha256(graph)}"`,
    });
    expect(hub.sent()).toBe(SIZE + 2);
    expect(troubles).toEqual([expect.stringMatching(/^the connection to 127\.0\.0\.1:\d+ broke/)]);
    expect(waits).toEqual([1000]);
  });

  test("or is interrupted is taken up by the next pull, which keeps the files that are whole", async () => {
    await interruptAt(HALF);
    await pull();
    await expectInstalled();
    expect(hub.requests).toHaveLength(1);
    expect(ofGraph()[0]!.headers).toMatchObject({ range: `bytes=${HALF}-` });
    expect(hub.sent()).toBe(SIZE + 2);
  });

  test("as long as something new comes is tried again and again", async () => {
    const cuts = Array.from({ length: 9 }, (_, k) => (k + 1) * 30_000);
    const first = cutAt(cuts[0]!);
    const later = cuts.slice(1).map((end, k) => {
      const start = cuts[k]!;
      const arrived = Promise.withResolvers<void>();
      const answer: Answer = async (response) => {
        response.writeHead(206, {
          "content-length": SIZE - start,
          "content-range": `bytes ${start}-${SIZE - 1}/${SIZE}`,
        });
        response.write(graph.subarray(start, end));
        await arrived.promise;
        response.destroy();
      };
      return { answer, end, arrived };
    });
    forGraph(first.answer, ...later.map(({ answer }) => answer));
    await pull({
      onBytes: (file, have) => {
        first.onBytes(file, have);
        for (const { end, arrived } of later) if (have >= end) arrived.resolve();
      },
    });
    await expectInstalled();
    expect(ofGraph()).toHaveLength(10);
    expect(waits).toEqual(cuts.map(() => 1000));
  });

  test("always at the same place is given up, and what has come is kept", async () => {
    hub.next(hub.serve);
    let arrived: (() => void) | undefined;
    hub.always((response) => {
      arrived = () => response.destroy();
      response.writeHead(200, { "content-length": SIZE });
      response.write(graph.subarray(0, HALF));
    });
    const error = await failure(pull({ onBytes: (_, have) => have >= HALF && arrived?.() }));
    expect(error).toBeInstanceOf(PullError);
    expect(error.message).toMatch(/broke .*, 6 times\. What has come is kept\./);
    // The first one brought something; each wait is twice the one before.
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000]);
    expect(existsSync(part())).toBe(true);
    expectNotInstalled();
  });

  test("because the server says nothing more is taken up as well", async () => {
    const { answer } = cutAt(HALF);
    forGraph(answer, () => undefined);
    const troubles: string[] = [];
    await pull({
      onTrouble: (message) => troubles.push(message),
      patience: { ...patience, idleMs: 200, wait: async () => undefined },
    });
    await expectInstalled();
    expect(troubles).toHaveLength(2);
    for (const trouble of troubles) expect(trouble).toMatch(/said nothing for/);
  });
});

describe("taking a download up", () => {
  test("works with a server that knows no ranges: all of it comes again", async () => {
    await interruptAt(HALF);
    hub.next((response) => void response.writeHead(200).end(graph));
    await pull();
    await expectInstalled();
    expect(hub.requests).toHaveLength(1);
  });

  test("does not mix two contents when the tag has changed", async () => {
    await interruptAt(HALF, noise(SIZE, 2));
    await pull();
    await expectInstalled();
    expect(hub.requests).toHaveLength(1);
    expect(ofGraph()[0]!.headers).toMatchObject({ "if-range": `"${sha256(noise(SIZE, 2))}"` });
  });

  test("does not take another content from a server that disregards the condition", async () => {
    await interruptAt(HALF, noise(SIZE, 2));
    hub.next((response) => {
      response.writeHead(206, {
        etag: `"${sha256(graph)}"`,
        "content-range": `bytes ${HALF}-${SIZE - 1}/${SIZE}`,
      });
      response.end(graph.subarray(HALF));
    });
    const troubles: string[] = [];
    await pull({ onTrouble: (message) => troubles.push(message) });
    expect(troubles).toEqual([expect.stringContaining("is no longer the same content")]);
    await expectInstalled();
    expect(ofGraph().map(({ headers }) => headers.range)).toEqual([`bytes=${HALF}-`, undefined]);
  });

  test("that made a mix all the same has a second chance in one piece", async () => {
    await interruptAt(HALF, noise(SIZE, 2));
    hub.next((response) => {
      response.writeHead(206, { "content-range": `bytes ${HALF}-${SIZE - 1}/${SIZE}` });
      response.end(graph.subarray(HALF));
    });
    await pull();
    await expectInstalled();
    expect(ofGraph()).toHaveLength(2);
  });

  test("starts again when the answer is of another place", async () => {
    await interruptAt(HALF);
    hub.next((response) => {
      response.writeHead(206, { "content-range": `bytes 0-${SIZE - 1}/${SIZE}` }).end(graph);
    });
    await pull();
    await expectInstalled();
  });

  test("of another version of the model starts again", async () => {
    await interruptAt(HALF);
    const changed = { ...files, "onnx/model.onnx": noise(SIZE, 3) };
    hub.put("onnx/model.onnx", changed["onnx/model.onnx"]);
    await pull({}, modelOf(changed));
    expect(sha256(await readFile(installed()))).toBe(sha256(changed["onnx/model.onnx"]));
    expect(ofGraph()[0]!.headers).not.toHaveProperty("range");
  });
});

describe("a hub that has something else", () => {
  test("by its hash: it is not installed, and not gone on with", async () => {
    hub.put("onnx/model.onnx", noise(SIZE, 2));
    const error = await failure(pull());
    expect(error).toBeInstanceOf(PullError);
    expect(error.message).toContain(`has the SHA-256 ${sha256(noise(SIZE, 2))}`);
    expect(error.message).toContain(sha256(graph));
    expectNotInstalled();
    expect(existsSync(part())).toBe(false);
    expect(ofGraph()).toHaveLength(1);
    // The small file was right and stays.
    hub.put("onnx/model.onnx", graph);
    await pull();
    await expectInstalled();
    expect(hub.requests).toHaveLength(3);
  });

  test("that is longer and says so is not fetched", async () => {
    hub.put("onnx/model.onnx", noise(SIZE + 1));
    const heard: number[] = [];
    const error = await failure(
      pull({ onBytes: ({ path }, have) => path === "onnx/model.onnx" && heard.push(have) }),
    );
    expect(error.message).toContain(
      `has ${SIZE + 1} bytes, more than the ${SIZE} that it should have`,
    );
    expect(heard).toEqual([]);
    expectNotInstalled();
  });

  test("that goes on for ever is cut at the length of the manifest", async () => {
    const closed = Promise.withResolvers<void>();
    forGraph((response) => {
      response.on("close", closed.resolve);
      response.writeHead(200, { etag: '"endless"' });
      const more = () => {
        while (response.write(graph.subarray(0, 1 << 16)));
      };
      response.on("drain", more);
      more();
    });
    let most = 0;
    const error = await failure(pull({ onBytes: (_, have) => (most = Math.max(most, have)) }));
    expect(error.message).toContain(`has more bytes than the ${SIZE} that it should have`);
    expect(most).toBeLessThanOrEqual(SIZE);
    expect(existsSync(part())).toBe(false);
    expectNotInstalled();
    await closed.promise;
  });

  test("that is shorter and says so is not fetched", async () => {
    hub.put("onnx/model.onnx", noise(SIZE - 1));
    await expect(pull()).rejects.toThrow(`has ${SIZE - 1} bytes, fewer than the ${SIZE}`);
    expectNotInstalled();
  });

  test("that ends early without a word is found out by the next question", async () => {
    hub.put("onnx/model.onnx", graph.subarray(0, HALF));
    forGraph((response) => {
      response.writeHead(200, { etag: `"${sha256(graph.subarray(0, HALF))}"` });
      response.end(graph.subarray(0, HALF));
    });
    await expect(pull()).rejects.toThrow(`has ${HALF} bytes, fewer than the ${SIZE}`);
    expect(ofGraph()).toHaveLength(2);
    expectNotInstalled();
  });

  test("in another encoding is refused: hashes are of the bytes as they are", async () => {
    hub.next((response) => void response.writeHead(200, { "content-encoding": "gzip" }).end("x"));
    await expect(pull()).rejects.toThrow("comes compressed (gzip)");
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
    hub = await startHub(files);
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
    const outside = scratch.path(`outside-${at}`);
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
    const outside = scratch.path(`outside-${at}`);
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

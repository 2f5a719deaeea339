import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createDownloadProgress } from "../../../scripts/models/create-download-progress.ts";
import { makeFolder } from "./fixtures.ts";
import { modelOf, noise, REVISION, sha256, startHub, unpinned } from "./models-hub.ts";
import type { Hub } from "./models-hub.ts";

const main = fileURLToPath(new URL("../../../scripts/models/main.ts", import.meta.url));
const SIZE = 300_000;
const HALF = 100_000;
const graph = noise(SIZE);
const files = { "config.json": Buffer.from("{}"), "onnx/model.onnx": graph };
const other = { "voice.bin": noise(1000, 5) };

let scratch: Awaited<ReturnType<typeof makeFolder>>;
let hub: Hub;
let models: string;
let manifest: string;
let at = 0;
beforeAll(async () => {
  scratch = await makeFolder();
  const entries = [modelOf(files), modelOf(other, "other")];
  manifest = await scratch.write("models.json", JSON.stringify({ models: entries }));
});
afterAll(() => scratch.remove());
beforeEach(async () => {
  hub = await startHub({ ...files, ...other });
  models = scratch.path(`models-${++at}`);
});
afterEach(() => hub.close());

function start(args: string[], environment: Record<string, string> = {}) {
  return spawn(process.execPath, [main, ...args], {
    env: {
      PATH: process.env["PATH"],
      ANTIPHON_MODELS_DIR: models,
      ANTIPHON_MODELS_MANIFEST: manifest,
      HF_ENDPOINT: hub.endpoint.href,
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function run(args: string[], environment: Record<string, string> = {}) {
  const child = start(args, environment);
  const [out, err] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    child.exitCode ?? once(child, "close"),
  ]);
  return { code: child.exitCode, out, err };
}

const installed = (path: string) => join(models, "tiny@1.0", path);
const states = async () => {
  const { out } = await run(["list", "--json"]);
  const { models: listed } = JSON.parse(out.trimEnd().split("\n").at(-1)!) as {
    models: { name: string; state: string }[];
  };
  return Object.fromEntries(listed.map(({ name, state }) => [name, state]));
};

describe("npm run models", () => {
  test("list says what each model is, whether it may earn money, and what brings it", async () => {
    const { code, out } = await run(["list"]);
    expect(code).toBe(0);
    const [head, tiny, , silero] = out.split("\n").map((line) => line.split(/ {2,}/));
    expect(head).toEqual(
      "name, task, version, licence, commercial, size, memory, pinned by, state".split(", "),
    );
    expect(tiny).toEqual(
      "tiny, transcribe, 1.0, CC-BY-NC-4.0, no, 300 kB, 1.0 MB, manifest, not installed".split(
        ", ",
      ),
    );
    expect(silero).toEqual(
      "silero-vad, voice_activity, 6.2, MIT, yes, 2.3 MB, 20 MB, manifest, ready".split(", "),
    );
    expect(out).toContain("tiny is not installed; to install it: npm run models -- pull tiny");

    const json = JSON.parse((await run(["list", "--json"])).out) as { models: object[] };
    expect(json).toMatchObject({
      models_folder: models,
      models: [
        {
          name: "tiny",
          commercial_use: false,
          bytes: SIZE + 2,
          state: "not installed",
          install: "npm run models -- pull tiny",
        },
        { name: "other" },
        { name: "silero-vad", commercial_use: true, state: "ready" },
        ...json.models.slice(3),
      ],
    });
  });

  test("pull installs, says how far it is on standard error, and names the licence's limit", async () => {
    const { code, out, err } = await run(["pull", "tiny"], { HF_TOKEN: "hf_secret" });
    expect(code).toBe(0);
    expect(out).toContain(`tiny 1.0 is installed: ${join(models, "tiny@1.0")}`);
    expect(out).toContain("CC-BY-NC-4.0, does not permit commercial use");
    expect(err).toMatch(/^2\/2 onnx\/model\.onnx {2}300 kB of 300 kB {2}100 %/m);
    expect(out + err).not.toContain("hf_secret");
    expect(hub.requests[0]!.headers.authorization).toBe("Bearer hf_secret");
    expect(await states()).toMatchObject({ tiny: "ready", other: "not installed" });

    const again = await run(["pull", "tiny"]);
    expect(again).toMatchObject({
      code: 0,
      out: expect.stringContaining("here already") as string,
    });
    expect(hub.requests).toHaveLength(2);
  });

  test.each(["SIGINT", "SIGTERM"] as const)(
    "pull ended by %s keeps what has come, and the next goes on with it",
    async (signal) => {
      hub.next(hub.serve, (response) => {
        response.writeHead(200, { "content-length": SIZE, etag: `"${sha256(graph)}"` });
        response.write(graph.subarray(0, HALF));
      });
      const child = start(["pull", "tiny"]);
      const err = text(child.stderr);
      const part = join(models, ".partial/tiny@1.0/onnx/model.onnx.part");
      const size = () =>
        lstat(part).then(
          (stats) => stats.size,
          () => 0,
        );
      await expect.poll(size).toBe(HALF);
      child.kill(signal);
      await once(child, "close");
      expect(child.exitCode).toBe(130);
      expect(await err).toContain("what a pull has fetched is kept");
      expect(await size()).toBe(HALF);

      expect(await run(["pull", "tiny"])).toMatchObject({ code: 0 });
      expect(hub.requests.at(-1)!.headers.range).toBe(`bytes=${HALF}-`);
      expect(graph.equals(await readFile(installed("onnx/model.onnx")))).toBe(true);
    },
  );

  test("pull that was killed leaves no lock behind", async () => {
    hub.next(hub.serve, (response) => void response.writeHead(200, { "content-length": SIZE }));
    const child = start(["pull", "tiny"]);
    await expect.poll(() => hub.requests.length).toBe(2);
    expect(await run(["pull", "tiny"])).toMatchObject({
      code: 1,
      err: "Another process is fetching tiny already.\n",
    });
    child.kill("SIGKILL");
    await once(child, "close");
    expect(await run(["pull", "tiny"])).toMatchObject({ code: 0 });
  });

  test("pull into a folder that cannot be written to says so in a line", async () => {
    const file = await scratch.write("file", "");
    const { code, err } = await run(["pull", "tiny"], { ANTIPHON_MODELS_DIR: join(file, "x") });
    expect(code).toBe(1);
    expect(err).toMatch(/^ENOTDIR: .*\n$/);
  });

  test("verify reads what is installed, and says what is wrong and how to mend it", async () => {
    await run(["pull", "tiny"]);
    const good = await run(["verify"]);
    expect(good).toMatchObject({ code: 0 });
    expect(good.out).toMatch(/^tiny 1.0: ready\nother 1.0: not installed\nsilero-vad 6.2: ready\n/);

    // One bit, with the length and time of before, after the list has read it.
    const time = new Date("2026-01-01");
    await utimes(installed("onnx/model.onnx"), time, time);
    expect(await states()).toMatchObject({ tiny: "ready" });
    const damaged = Buffer.from(graph);
    damaged[SIZE - 1]! ^= 1;
    await writeFile(installed("onnx/model.onnx"), damaged);
    await utimes(installed("onnx/model.onnx"), time, time);
    expect(await states()).toMatchObject({ tiny: "damaged", "silero-vad": "ready" });
    const bad = await run(["verify", "tiny"]);
    expect(bad.code).toBe(1);
    expect(bad.out).toContain("tiny 1.0: damaged");
    expect(bad.out).toContain(`onnx/model.onnx has the SHA-256 ${sha256(damaged)}`);
    expect(bad.out).toContain("To mend it: npm run models -- pull tiny");
    expect((await run(["verify"])).code).toBe(1);

    await run(["pull", "tiny"]);
    expect((await run(["verify", "tiny"])).code).toBe(0);
    expect(await states()).toMatchObject({ tiny: "ready" });
  });

  test("verify of a model that is not here fails and says what brings it", async () => {
    const { code, out } = await run(["verify", "other"]);
    expect(code).toBe(1);
    expect(out).toContain(
      "other 1.0: not installed\n  To install it: npm run models -- pull other",
    );
  });

  test("verify takes files that were put there by hand", async () => {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(installed(path)), { recursive: true });
      await writeFile(installed(path), content);
    }
    expect(await run(["verify", "tiny"])).toMatchObject({ code: 0, out: "tiny 1.0: ready\n" });
  });

  test("verify reads a file again though the list remembers it", async () => {
    await run(["pull", "other"]);
    expect(await states()).toMatchObject({ other: "ready" });
    // What is remembered is wrong, as after a fault of the disk that no time of change tells of.
    const memory = join(models, ".hashes.json");
    const remembered = await readFile(memory, "utf8");
    await writeFile(memory, remembered.replaceAll(sha256(other["voice.bin"]), "0".repeat(64)));
    expect(await states()).toMatchObject({ other: "damaged" });
    expect((await run(["verify", "other"])).code).toBe(0);
    expect(await states()).toMatchObject({ other: "ready" });
    await writeFile(memory, "{");
    expect(await states()).toMatchObject({ other: "ready" });
  });

  test.each([
    [
      "a model that is none",
      ["pull", "none"],
      {},
      "There is no model none; there are: tiny, other",
    ],
    ["a manifest that is none", ["list"], { ANTIPHON_MODELS_MANIFEST: "none.json" }, "none.json"],
    ["a hub that is none", ["pull", "tiny"], { HF_ENDPOINT: "huggingface" }, "HF_ENDPOINT"],
    ["a token that is none", ["pull", "tiny"], { HF_TOKEN: "hf\u0001secret" }, "HF_TOKEN holds"],
  ])("refuses %s as wrong usage", async (_, args, environment, reason) => {
    const { code, out, err } = await run(args, environment as Record<string, string>);
    expect(code).toBe(2);
    expect(err).toContain(reason);
    expect(out + err).not.toContain("secret");
    expect(hub.requests).toEqual([]);
  });
});

describe("npm run models, where hashes are left to the first pull", () => {
  test("list says so, pull pins, list and verify hold to it", async () => {
    const open = unpinned(modelOf(files, "open"));
    const own = await scratch.write("open.json", JSON.stringify({ models: [open] }));
    const environment = { ANTIPHON_MODELS_MANIFEST: own };
    const row = async () =>
      (await run(["list"], environment)).out.split("\n")[1]!.split(/ {2,}/).slice(5);
    expect(await row()).toEqual(["?", "1.0 MB", "nothing yet", "not installed"]);
    const { code, out } = await run(["pull", "open"], environment);
    expect(code).toBe(0);
    expect(out).toContain(`From now on open is held to the commit ${REVISION}.`);
    expect(await row()).toEqual(["300 kB", "1.0 MB", "first pull", "ready"]);
    await writeFile(join(models, "open@1.0", "config.json"), "[]");
    expect(await run(["verify", "open"], environment)).toMatchObject({
      code: 1,
      out: expect.stringContaining("config.json has the SHA-256") as string,
    });
    await writeFile(join(models, ".pins/open@1.0.json"), "{");
    for (const command of ["pull", "verify"]) {
      const refused = await run([command, "open"], environment);
      expect(refused.code).toBe(1);
      expect(refused.out + refused.err).toContain("holds no pins any more");
    }
  });

  test("add writes a model into one's own manifest, which says how to install it", async () => {
    const own = scratch.path("added.json");
    const environment = { ANTIPHON_MODELS_MANIFEST: own };
    const args = ["add", "someone/tiny@main", "--task", "emotion", "--name", "mine"];
    const { code, out } = await run(
      [...args, "--file", "onnx/model.onnx", "config.json"],
      environment,
    );
    expect(code).toBe(0);
    expect(out).toContain("Apache-2.0, commercial use: yes.");
    expect(out).toContain("To install it: npm run models -- pull mine");
    expect(await run(["pull", "mine"], environment)).toMatchObject({ code: 0 });
    expect(await run([...args, "--file", "config.json"], environment)).toMatchObject({ code: 1 });
    const wrong = await run(["add", "someone/tiny", ...args.slice(2), "--file", "x"], environment);
    expect(wrong).toMatchObject({ code: 2, err: "someone/tiny is not OWNER/NAME@REVISION.\n" });
  });
});

describe("progress", () => {
  const [file] = modelOf({ "a.bin": Buffer.alloc(10_000_000) }).files;
  const show = (isTTY: boolean) => {
    let now = 0;
    const written: string[] = [];
    const stream = { isTTY, write: (text: string) => written.push(text) };
    const progress = createDownloadProgress([file!], stream, () => now);
    return {
      written,
      progress,
      tell: (ms: number, have: number) => {
        now = ms;
        progress.onBytes(file!, have);
      },
    };
  };

  test("in a log is a line every five seconds, with the rate of the last ones", () => {
    const { tell, written } = show(false);
    for (let s = 0; s <= 8; s++) tell(s * 1000, s * 1_000_000);
    tell(9000, 10_000_000);
    expect(written).toEqual([
      "1/1 a.bin  0 B of 10 MB  0 %\n",
      "1/1 a.bin  5.0 MB of 10 MB  50 %  1.0 MB/s, 5 s left\n",
      "1/1 a.bin  10 MB of 10 MB  100 %  1.2 MB/s, 0 s left\n",
    ]);
  });

  test("on a terminal is one line that is drawn again, and ended before other words", () => {
    const { tell, written, progress } = show(true);
    tell(0, 0);
    tell(50, 500_000);
    tell(1000, 4_000_000);
    progress.onTrouble("the connection broke", 2000);
    progress.end();
    expect(written).toEqual([
      "\r\u001b[2K1/1 a.bin  0 B of 10 MB  0 %",
      "\r\u001b[2K1/1 a.bin  4.0 MB of 10 MB  40 %  4.0 MB/s, 2 s left",
      "\n",
      "the connection broke; again in 2 s\n",
    ]);
  });

  test("counts what an earlier pull left as here, not as speed", () => {
    const [first, second] = modelOf({
      a: Buffer.alloc(2_000_000),
      b: Buffer.alloc(8_000_000),
    }).files;
    const written: string[] = [];
    let now = 0;
    const stream = { write: (text: string) => written.push(text) };
    const progress = createDownloadProgress([first!, second!], stream, () => now);
    progress.onBytes(first!, 2_000_000);
    now = 1000;
    progress.onBytes(second!, 4_000_000);
    now = 5000;
    progress.onBytes(second!, 6_500_000);
    expect(written.at(-1)).toBe("2/2 b  8.5 MB of 10 MB  85 %  625 kB/s, 3 s left\n");
  });
});

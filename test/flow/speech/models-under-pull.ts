import { existsSync } from "node:fs";
import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { patience } from "../../../scripts/models/download-file.ts";
import { pullModel } from "../../../scripts/models/pull-model.ts";
import type { PullOptions } from "../../../scripts/models/pull-model.ts";
import { makeFolder } from "./fixtures.ts";
import { modelOf, noise, REVISION, sha256, startHub } from "./models-hub.ts";
import type { Answer, Hub } from "./models-hub.ts";

export const SIZE = 300_000;
export const HALF = 100_000;
export const graph = noise(SIZE);
export const files = { "config.json": Buffer.from("{}"), "onnx/model.onnx": graph };
export const entry = modelOf(files);
export const graphPath = `/someone/tiny/resolve/${REVISION}/onnx/model.onnx`;

export let scratch: Awaited<ReturnType<typeof makeFolder>>;
export let hub: Hub;
export let models: string;
let at = 0;
export let waits: number[];
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

/** In place of one that the test has closed. */
export async function startHubAgain(): Promise<void> {
  hub = await startHub(files);
}

export const pull = (options: Partial<PullOptions> = {}, model = entry) =>
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
export const failure = (running: Promise<unknown>) =>
  running.then(
    () => {
      throw new Error("It did not fail.");
    },
    (error: unknown) => error as Error,
  );
export const installed = (path = "onnx/model.onnx") => join(models, "tiny@1.0", path);
export const staged = (path: string) => join(models, ".partial/tiny@1.0", path);
export const part = () => staged("onnx/model.onnx.part");
export const ofGraph = () => hub.requests.filter(({ path }) => path === graphPath);
export const expectInstalled = async () => {
  expect(graph.equals(await readFile(installed()))).toBe(true);
  expect(await readFile(installed("config.json"), "utf8")).toBe("{}");
};
export const expectNotInstalled = () => expect(existsSync(join(models, "tiny@1.0"))).toBe(false);

/** The first answer is to the small file; then come these, one for each request for the large one. */
export const forGraph = (...answers: Answer[]) => hub.next(hub.serve, ...answers);

/** Sends the first bytes of a content, and breaks the line when they have arrived. */
export function cutAt(bytes: number, content = graph, etag = `"${sha256(content)}"`) {
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
export async function interruptAt(bytes: number, content = graph): Promise<void> {
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

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { patience } from "../../../scripts/models/download-file.ts";
import { PullError } from "../../../scripts/models/pull-error.ts";
import { holdTheClock } from "./hold-the-clock.ts";
import { modelOf, noise, sha256 } from "./models-hub.ts";
import type { Answer } from "./models-hub.ts";
import {
  SIZE,
  HALF,
  graph,
  files,
  hub,
  waits,
  pull,
  failure,
  installed,
  part,
  ofGraph,
  expectInstalled,
  expectNotInstalled,
  forGraph,
  cutAt,
  interruptAt,
} from "./models-under-pull.ts";

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
    const pass = holdTheClock();
    const { answer } = cutAt(HALF);
    forGraph(answer, () => undefined);
    const troubles: string[] = [];
    let here = 0;
    const pulled = pull({
      onTrouble: (message) => troubles.push(message),
      onBytes: (_, have) => (here = have),
      patience: { ...patience, idleMs: 200, wait: async () => undefined },
    });
    await expect.poll(() => here).toBe(HALF);
    await pass(200);
    await expect.poll(() => ofGraph().length).toBe(2);
    await pass(200);
    await pulled;
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

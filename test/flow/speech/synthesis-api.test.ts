import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { SpeechSource } from "../../../regions/api/speech-routes.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import type { Redis } from "../../../regions/results/redis.ts";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import { createUsageOutbox } from "../../../regions/results/usage-outbox.ts";
import { createSynthesizer } from "../../../regions/speech/synthesis/create-synthesizer.ts";
import { createVoices } from "../../../regions/speech/synthesis/create-voices.ts";
import { UsageEnvelope } from "../../../shared/contracts/completion.ts";
import { mintSpeechId } from "../../../shared/contracts/ids.ts";
import { regions } from "../../../shared/contracts/regions.ts";
import { VoiceList } from "../../../shared/contracts/speech.ts";
import { ApiError, Problem } from "../../../shared/errors/problem.ts";
import { SIGNATURE_HEADER } from "../../../shared/signing/link-signature.ts";
import { inProcessApi } from "../api/in-process-api.ts";
import { edgeRequest, silent, startRegionBench, type RegionBench } from "../api/region-bench.ts";
import { installTinyVoices } from "./tiny-voices.ts";

let bench: RegionBench;
beforeAll(async () => {
  bench = await startRegionBench();
});
afterAll(() => bench.close());

const ORDER = {
  tenant_id: "ten_speech",
  residency: "global",
  input: "Hello there. This is Antiphon, and it costs $5!",
  voice: "slt",
  response_format: "mp3",
  speed: 1,
};

async function start(options: Parameters<typeof inProcessApi>[1] = {}) {
  const api = await inProcessApi(bench, options);
  onTestFinished(() => api.close());
  const order = (more: object = {}) =>
    edgeRequest("POST", "/internal/speech", { ...ORDER, ...more });
  return {
    app: api.app,
    order,
    speak: async (more: object = {}) => api.app.fetch(await order(more)),
  };
}

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());
const problemOf = async (response: Response) => Problem.parse(await response.json());
const kept = () => bench.objects.list("speech/", 1000);

/** A source whose sound a test sends bit by bit. */
function handFed() {
  const runs: {
    signal: AbortSignal;
    send: (bytes: Uint8Array | undefined) => void;
    fail: (error: Error) => void;
  }[] = [];
  const source: SpeechSource = {
    voices: () => [],
    prepare: ({ input }) => ({
      contentKey: input,
      engine: "test/1",
      sampleRate: 16_000,
      async *audio(signal) {
        // What is sent or fails while nobody waits is no unhandled rejection.
        const slot = () => {
          const made = Promise.withResolvers<Uint8Array | undefined>();
          made.promise.catch(() => undefined);
          return made;
        };
        let next = slot();
        const waiting: Promise<Uint8Array | undefined>[] = [next.promise];
        const step = () => {
          const now = next;
          next = slot();
          waiting.push(next.promise);
          return now;
        };
        signal.addEventListener("abort", () => next.reject(signal.reason));
        runs.push({
          signal,
          send: (bytes) => step().resolve(bytes),
          fail: (error) => step().reject(error),
        });
        for (;;) {
          const bytes = await waiting.shift();
          if (bytes === undefined) return;
          yield bytes;
        }
      },
    }),
  };
  return { source, runs };
}

const until = (probe: () => unknown) => expect.poll(probe).toBeTruthy();

test("the second order of the same speech is answered from the bucket, byte for byte", async () => {
  const { speak } = await start();
  const first = await speak();
  expect(first.status).toBe(200);
  expect(Object.fromEntries(first.headers)).toMatchObject({
    "content-type": "audio/mpeg",
    "x-antiphon-cache": "miss",
    "x-antiphon-engine": expect.stringContaining("flite/"),
    "x-antiphon-voice": "slt",
    "x-antiphon-sample-rate": "16000",
    "x-antiphon-region": "us-east",
  });
  const bytes = await bytesOf(first);
  await expect
    .poll(kept)
    .toEqual([expect.stringMatching(/^speech\/global\/ten_speech\/\w{64}\.mp3$/)]);

  const second = await speak({ input: ORDER.input.replace("$5", "five dollars") });
  expect(second.headers.get("x-antiphon-cache")).toBe("hit");
  expect(second.headers.get("content-type")).toBe("audio/mpeg");
  expect(second.headers.get("content-length")).toBe(String(bytes.length));
  expect((await bytesOf(second)).equals(bytes)).toBe(true);

  // Nobody else's, and nothing else.
  for (const other of [
    { tenant_id: "ten_other" },
    { residency: "us" },
    { voice: "kal" },
    { speed: 2 },
    { response_format: "wav" },
  ]) {
    const answer = await speak(other);
    expect(answer.headers.get("x-antiphon-cache"), JSON.stringify(other)).toBe("miss");
    await answer.body!.cancel();
  }
});

test("speech that its listener left is neither finished nor kept", async () => {
  const { source, runs } = handFed();
  const { speak } = await start({ speech: source });
  const asked = speak({ input: "left" });
  await until(() => runs[0]);
  runs[0]!.send(new Uint8Array([1]));
  const response = await asked;
  await response.body!.cancel();
  expect(runs[0]!.signal.aborted).toBe(true);
  expect((await kept()).filter((key) => key.includes("left"))).toEqual([]);
});

test("a listener that hangs up ends the work, through a real connection", async () => {
  const { source, runs } = handFed();
  const { app, order } = await start({ speech: source });
  const answer = getRequestListener(app.fetch);
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const signed = await order({ input: "hung-up" });
  const leave = new AbortController();
  const asked = fetch(
    `http://127.0.0.1:${(server.address() as AddressInfo).port}/internal/speech`,
    {
      method: "POST",
      headers: { [SIGNATURE_HEADER]: signed.headers.get(SIGNATURE_HEADER)! },
      body: await signed.text(),
      signal: leave.signal,
    },
  );
  await until(() => runs[0]);
  runs[0]!.send(new Uint8Array([1, 2]));
  const response = await asked;
  const reader = response.body!.getReader();
  expect((await reader.read()).value).toEqual(new Uint8Array([1, 2]));
  leave.abort();
  await until(() => runs[0]!.signal.aborted);
});

test("beyond the limit a region is busy and says when to come back; who leaves makes room", async () => {
  const { source, runs } = handFed();
  const { speak } = await start({ speech: source });
  const asked = Array.from({ length: 8 }, (_, i) => speak({ input: `text-${i}` }));
  await until(() => runs.length === 8);
  const refused = await speak({ input: "one-too-many" });
  expect(refused.status).toBe(429);
  expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
  expect((await problemOf(refused)).code).toBe("system_busy");
  for (const run of runs) run.send(new Uint8Array([1]));
  const answers = await Promise.all(asked);
  await answers[0]!.body!.cancel();
  const again = speak({ input: "now-there-is-room" });
  await until(() => runs.length === 9);
  for (const run of runs.slice(1)) {
    run.send(new Uint8Array([1]));
    run.send(undefined);
  }
  expect((await again).status).toBe(200);
  await Promise.all(answers.slice(1).map(bytesOf));
  await (await again).body!.cancel();
});

test("an engine that fails at once can be told from one that fails in the middle", async () => {
  const { source, runs } = handFed();
  const { speak } = await start({ speech: source });
  const first = speak({ input: "at-once" });
  await until(() => runs[0]);
  runs[0]!.fail(new Error("it broke"));
  const refused = await first;
  expect(refused.status).toBe(503);
  expect((await problemOf(refused)).code).toBe("dependency_unavailable");

  const second = speak({ input: "in-the-middle" });
  await until(() => runs[1]);
  runs[1]!.send(new Uint8Array([1]));
  const answer = await second;
  runs[1]!.fail(new Error("it broke"));
  await expect(answer.arrayBuffer()).rejects.toThrow();

  // Once a later one is kept, an earlier one would be too.
  const third = speak({ input: "after-the-failure" });
  await until(() => runs[2]);
  runs[2]!.send(new Uint8Array([1]));
  runs[2]!.send(undefined);
  await bytesOf(await third);
  await expect
    .poll(async () => (await kept()).some((key) => key.includes("after-the-failure")))
    .toBe(true);
  expect((await kept()).filter((key) => key.includes("in-the-middle"))).toEqual([]);
});

test("without its object store a region still speaks", async () => {
  const away = () => Promise.reject(new ApiError("dependency_unavailable"));
  const { speak } = await start({ objects: { ...bench.objects, get: away, put: away } });
  const answer = await speak({ voice: "kal" });
  expect(answer.headers.get("x-antiphon-cache")).toBe("miss");
  expect((await bytesOf(answer)).length).toBeGreaterThan(1000);
});

test.each([
  ["\u{1f600}", "text_empty", 422],
  ["Привет", "text_language_unsupported", 422],
  ["x".repeat(4097), "invalid_request", 400],
])("a text that cannot be spoken is refused before any sound (%#)", async (input, code, status) => {
  const { speak } = await start();
  const refused = await speak({ input });
  expect(refused.status).toBe(status);
  expect(await problemOf(refused)).toMatchObject({ code, errors: [{ path: "input" }] });
});

test("content bound elsewhere is not spoken here", async () => {
  const { speak } = await start();
  expect((await speak({ residency: "eu" })).status).toBe(503);
});

test("who can speak is told, and who cannot: not installed, of another language, unknown", async () => {
  const installed = installTinyVoices();
  onTestFinished(() => installed.drop());
  const whole = installed.manifest();
  installed.remove("piper");
  const voices = createVoices({ manifest: () => whole });
  const speech = createSynthesizer({ voices });
  onTestFinished(() => speech.close());
  const { app, speak } = await start({ speech });

  const listed = await app.fetch(await edgeRequest("GET", "/internal/voices"));
  const { data } = VoiceList.parse(await listed.json());
  expect(data.map(({ id }) => id)).toContain("af_heart");
  expect(data.map(({ id }) => id)).not.toContain("tiny-piper");

  const spoken = await speak({ voice: "af_heart", response_format: "wav" });
  expect(spoken.headers.get("x-antiphon-engine")).toMatch(/^tiny-kokoro\/1/);
  expect((await bytesOf(spoken)).length).toBeGreaterThan(10_000);

  const missing = await problemOf(await speak({ voice: "tiny-piper" }));
  expect(missing).toMatchObject({ code: "voice_not_installed", status: 422 });
  expect(missing.detail).toContain("npm run models -- pull tiny-piper");
  expect(await problemOf(await speak({ voice: "ef_dora" }))).toMatchObject({
    code: "language_unsupported",
  });
  expect(await problemOf(await speak({ voice: "nobody" }))).toMatchObject({
    code: "invalid_request",
    errors: [{ path: "voice", message: expect.stringContaining("af_heart") as string }],
  });
});

test("speech that was made is on the outbox once, with its figures; speech that was found again uses nothing", async () => {
  const { speak } = await start();
  const used = async () =>
    (await bench.client.xrange(resultKeys.outbox, "-", "+"))
      .map(([, fields]) => UsageEnvelope.parse(JSON.parse(fields[1]!)))
      .filter(({ tenant_id }) => tenant_id === "ten_billed");
  const order = { tenant_id: "ten_billed", input: "This is to be billed once." };
  const made = await speak(order);
  expect(made.headers.get("x-antiphon-cache")).toBe("miss");
  await bytesOf(made);
  await expect.poll(used).toHaveLength(1);
  await expect
    .poll(async () => (await kept()).some((key) => key.includes("ten_billed")))
    .toBe(true);
  const again = await speak(order);
  expect(again.headers.get("x-antiphon-cache")).toBe("hit");
  await bytesOf(again);

  const [usage, ...more] = await used();
  expect(more).toEqual([]);
  expect(usage!.id).toMatch(/^spc_use_/);
  expect(usage!.usage.map(({ stage, unit }) => [stage, unit])).toEqual([
    ["speech", "compute_second"],
    ["speech_text", "character"],
    ["speech_audio", "audio_second"],
  ]);
  for (const { quantity } of usage!.usage) expect(quantity).toBeGreaterThan(0);
  expect(usage!.usage[0]!.usd).toBeGreaterThan(0);
  expect(JSON.stringify(usage)).not.toContain("billed once");
});

test("usage waits for a Redis that is away, and what never gets there is counted", async () => {
  const metrics = createMetrics();
  const envelope = UsageEnvelope.parse({
    v: 1,
    type: "usage",
    id: mintSpeechId(regions[0]!),
    tenant_id: "ten_away",
    usage: [{ stage: "speech", quantity: 1, unit: "compute_second", usd: 1 }],
  });
  let tries = 0;
  const redis = {
    xadd: async () => {
      tries += 1;
      if (tries < 4) throw new Error("away");
      return "1-1";
    },
  } as unknown as Redis;
  const options = { logger: silent, backoff: { minMs: 1, maxMs: 2 } };
  await createUsageOutbox({ ...options, redis, metrics: createMetrics() })(envelope);
  expect(tries).toBe(4);
  const stop = new AbortController();
  tries = Number.NEGATIVE_INFINITY;
  const waiting = createUsageOutbox({ ...options, redis, metrics, signal: stop.signal })(envelope);
  stop.abort();
  await waiting;
  expect(await metrics.render()).toContain("antiphon_usage_lost_total 1");
});

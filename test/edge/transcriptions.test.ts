import { describe, expect, test } from "vitest";
import type { AnalysisResult } from "../../shared/contracts/analysis-result.ts";
import type { CompletionOffer } from "../../shared/contracts/completion.ts";
import { VerboseTranscription } from "../../shared/contracts/transcription.ts";
import { audioFacts, offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, NEAR_DUBLIN, newTenant, startEdge } from "./support/start-edge.ts";

const PATH = "/v1/audio/transcriptions";
const words = [
  { word: "hello", start_s: 0.5, end_s: 1, confidence: 0.9 },
  { word: "you", start_s: 1, end_s: 1.25, confidence: 0.8 },
];
const transcript: AnalysisResult["transcript"] = {
  text: "hello you",
  language: "en",
  quality: "fallback",
  words,
  segments: [{ start_s: 0.5, end_s: 1.25, text: "hello you" }],
};

/** An edge whose regions finish every job at once. */
async function ready(
  part: AnalysisResult["transcript"] = transcript,
  more: Partial<CompletionOffer> = {},
) {
  const edge = startEdge();
  const tenant_id = newTenant("transcribe");
  const key = await edge.regions.addKey({ tenant_id });
  edge.regions.on("POST /internal/jobs", async ({ body, region }) => {
    const id = String(body["id"]);
    const ended = offerOf(
      { id, tenant_id },
      { dispatch: 1, attempt: 1 },
      { region, result_key: `results/${id}`, ...more },
    );
    await shardOf({ id, tenant_id }).complete([ended]);
    return { job_id: id, dispatch: 1, duplicate: false, queue_position: 0 };
  });
  edge.regions.on("POST /internal/results/read", ({ region }) => ({
    result: resultOf(part, region),
    from: "redis",
  }));
  const send = (
    fields: Record<string, string | string[]>,
    headers = {},
    bytes = "RIFF-and-so-on",
  ) => post(edge.call, key, formOf({ model: "whisper-1", ...fields }, bytes), headers);
  const specs = () => edge.regions.asked("/internal/jobs").map(({ body }) => body);
  return { ...edge, key, tenant_id, send, specs };
}

function formOf(fields: Record<string, string | string[]>, bytes = "RIFF-and-so-on"): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const each of [value].flat()) form.append(name, each);
  }
  form.append("file", new File([bytes], "voice.mp3", { type: "audio/mpeg" }));
  return form;
}

async function post(
  call: ReturnType<typeof startEdge>["call"],
  key: string,
  form: FormData,
  headers: Record<string, string> = {},
): Promise<Response> {
  const encoded = new Response(form);
  const body = new Uint8Array(await encoded.arrayBuffer());
  const type = encoded.headers.get("content-type")!;
  return call(PATH, { key, body, headers: { "content-type": type, ...headers }, cf: NEAR_DUBLIN });
}

function resultOf(part: AnalysisResult["transcript"], region: string): AnalysisResult {
  return {
    audio: { ...audioFacts, duration_s: 2.5 },
    transcript: part,
    engines: { transcribe: { name: "some-engine", version: "3", model_sha256: null } },
    cache: {},
    timings_ms: {},
    cost: { usd: 0, stages: [] },
    epoch: { dispatch: 1, attempt: 1 },
    region,
  };
}

describe("a transcription", () => {
  test("is an interactive job for the transcript of the file, in the nearest region", async () => {
    const { send, specs, regions, tenant_id } = await ready();
    const answer = await send({});
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ text: "hello you" });
    const [spec] = specs();
    expect(spec).toMatchObject({
      parts: ["transcript"],
      priority: "interactive",
      model: "whisper-1",
    });
    expect(spec).not.toHaveProperty("language");
    expect(answer.headers.get("x-antiphon-job")).toBe(spec!["id"]);
    expect(answer.headers.get("x-antiphon-quality")).toBe("fallback");
    expect(answer.headers.get("x-antiphon-engine")).toBe("some-engine 3");
    const name = `eu-west/bucket-eu-west/uploads/global/${tenant_id}/${String(spec!["upload_id"])}`;
    expect(new TextDecoder().decode(regions.objects.get(name)!.bytes)).toBe("RIFF-and-so-on");
  });

  test("comes as events that together are its text, when it is to be streamed", async () => {
    const two = {
      ...(transcript as Extract<typeof transcript, { text: string }>),
      text: "hello you there",
      segments: [
        { start_s: 0.5, end_s: 1.25, text: "hello you" },
        { start_s: 1.5, end_s: 2, text: "there" },
      ],
    };
    const answer = await (await ready(two)).send({ stream: "true" });
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(await answer.text()).toBe(
      'event: transcript.text.delta\ndata: {"type":"transcript.text.delta","delta":"hello you"}\n\n' +
        'event: transcript.text.delta\ndata: {"type":"transcript.text.delta","delta":" there"}\n\n' +
        'event: transcript.text.done\ndata: {"type":"transcript.text.done","text":"hello you there"}\n\n',
    );
    const wrong = await (await ready()).send({ stream: "true", response_format: "srt" });
    expect(await wrong.json()).toMatchObject({
      code: "invalid_request",
      error: { param: "stream" },
    });
  });

  test.each([
    ["text", "text/plain; charset=utf-8", "hello you\n"],
    ["srt", "text/plain; charset=utf-8", "1\n00:00:00,500 --> 00:00:01,300\nhello you\n\n"],
    ["vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.500 --> 00:00:01.300\nhello you\n\n"],
  ])("comes as %s", async (response_format, type, body) => {
    const { send } = await ready();
    const answer = await send({ response_format });
    expect(answer.headers.get("content-type")).toBe(type);
    expect(await answer.text()).toBe(body);
  });

  test("comes as verbose_json, with words when they are asked for", async () => {
    const { send } = await ready();
    const plain = await send({ response_format: "verbose_json", language: "en-US" });
    const segments = VerboseTranscription.parse(await plain.json());
    expect(segments).toMatchObject({ language: "english", duration: 2.5, segments: [{ id: 0 }] });
    expect(segments.words).toBeUndefined();
    const both = await send({
      response_format: "verbose_json",
      "timestamp_granularities[]": ["word", "segment"],
    });
    expect(VerboseTranscription.parse(await both.json()).words).toHaveLength(2);
  });

  test.each(["de", "DE-at", "German"])(
    "in %s is a job for the model and the language that were asked for",
    async (language) => {
      const { send, specs } = await ready();
      await send({ model: "whisper-base", language });
      expect(specs()[0]).toMatchObject({ model: "whisper-base", language: "de" });
    },
  );

  test("of a field that we do not know is made all the same", async () => {
    const { send } = await ready();
    expect((await send({ "include[]": "logprobs", stream: "false" })).status).toBe(200);
  });
});

describe("a transcription is refused", () => {
  test.each<[string, Record<string, string>, string, string]>([
    ["for what is no model's name", { model: "a b" }, "invalid_request", "model"],
    ["for an unknown format", { response_format: "docx" }, "invalid_request", "response_format"],
    ["for a wild temperature", { temperature: "hot" }, "invalid_request", "temperature"],
    [
      "for word times in a format that has none",
      { "timestamp_granularities[]": "word" },
      "invalid_request",
      "timestamp_granularities[]",
    ],
    [
      "for a language that no engine knows",
      { language: "tlh" },
      "language_unsupported",
      "language",
    ],
  ])("%s, in the words of the problem and of OpenAI", async (_, fields, code, param) => {
    const { send, specs } = await ready();
    const answer = await send(fields);
    const problem: { error: object } = await answer.clone().json();
    expect(problem.error).toMatchObject({ code, param, type: "invalid_request_error" });
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(await codeOf(answer)).toBe(code);
    expect(specs()).toEqual([]);
  });

  test("without a file, with an empty one, and beyond 25 MB", async () => {
    const { call, key, send, specs } = await ready();
    const none = formOf({ model: "whisper-1" });
    none.delete("file");
    expect(await codeOf(await post(call, key, none))).toBe("invalid_request");
    expect(await codeOf(await send({}, {}, ""))).toBe("audio_empty");
    const large = "x".repeat(25 * 1024 * 1024 + 1);
    expect(await codeOf(await send({}, {}, large))).toBe("body_too_large");
    expect(specs()).toEqual([]);
  });

  test("as something else than a form", async () => {
    const { call, key } = await ready();
    expect(await codeOf(await call(PATH, { key, body: {} }))).toBe("unsupported_media_type");
    const headers = { "content-type": "multipart/form-data; boundary=x" };
    const torn = await call(PATH, { key, body: "--y\r\nnonsense", headers });
    expect(await codeOf(torn)).toBe("invalid_request");
    expect((await call(PATH, { key })).status).toBe(405);
  });

  test.each([
    ["the file is not audio", "audio_unsupported", 415, "It is text."],
    ["its model is not installed", "model_unavailable", 422, "npm run models -- pull whisper-base"],
    ["no engine here knows the language", "language_unsupported", 422, "It knows en."],
    ["the model is damaged", "model_unusable", 500, "npm run models -- pull whisper-base"],
  ] as const)("when %s, as the job says", async (_, code, status, detail) => {
    const error = { code, detail, retryable: false };
    const { send } = await ready(transcript, { status: "failed", error, result_key: undefined });
    const answer = await send({});
    const problem: { error: object } = await answer.clone().json();
    expect(problem.error).toMatchObject({ message: expect.stringContaining(detail), code });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(await codeOf(answer)).toBe(code);
  });

  test("when no engine is installed, with what would bring one", async () => {
    const { send } = await ready({
      status: "unavailable",
      reason: "No engine.",
      install: "apt-get install engine",
    });
    const answer = await send({});
    const problem: { error: { message: string } } = await answer.clone().json();
    expect(problem.error.message).toContain("apt-get install engine");
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(await codeOf(answer)).toBe("not_available");
  });
});

describe("a transcription that takes too long", () => {
  test("names its job, and is waited for again under its idempotency key", async () => {
    const { send, specs, regions, tenant_id } = await ready();
    regions.on("POST /internal/jobs", ({ body }) => ({
      job_id: body["id"],
      dispatch: 1,
      duplicate: false,
      queue_position: 0,
    }));
    const once = { "idempotency-key": "one", prefer: "wait=0" };
    const late = await send({}, once);
    const id = String(specs()[0]!["id"]);
    expect(late.status).toBe(504);
    expect(late.headers.get("location")).toBe(`https://edge.test/v1/jobs/${id}`);
    expect(late.headers.get("x-should-retry")).toBe("true");
    expect(await codeOf(late)).toBe("job_unfinished");
    const job = { id, tenant_id };
    const ended = offerOf(
      job,
      { dispatch: 1, attempt: 1 },
      { result_key: "results/x", region: "eu-west" },
    );
    await shardOf(job).complete([ended]);
    const again = await send({}, { "idempotency-key": "one" });
    expect(await again.json()).toEqual({ text: "hello you" });
    expect(specs()).toHaveLength(1);
    const other = await send({}, { "idempotency-key": "one" }, "another recording");
    expect(await codeOf(other)).toBe("idempotency_key_reused");
  });

  test("without a key is not to be repeated by the client itself, which would make another job", async () => {
    const { send, regions } = await ready();
    regions.on("POST /internal/jobs", ({ body }) => ({
      job_id: body["id"],
      dispatch: 1,
      duplicate: false,
      queue_position: 0,
    }));
    const late = await send({}, { prefer: "wait=0" });
    expect(late.headers.get("x-should-retry")).toBe("false");
    expect(await codeOf(late)).toBe("job_unfinished");
  });
});

describe("of bodies that may be large an isolate takes in", () => {
  /** A body of unknown length whose first byte the edge has asked for, so that it has been taken in. */
  async function begin(call: ReturnType<typeof startEdge>["call"], key: string, path: string) {
    const asked = Promise.withResolvers<void>();
    const mayEnd = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          asked.resolve();
          await mayEnd.promise;
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const type = path === PATH ? "multipart/form-data; boundary=x" : "application/json";
    const answer = call(path, { key, body, headers: { "content-type": type } });
    await Promise.race([asked.promise, answer]);
    return { answer, end: () => mayEnd.resolve() };
  }

  test("two of a tenant and three in all, small ones besides, and more when those have ended", async () => {
    const { call, regions, send } = await ready();
    const scopes = ["analyze" as const, "speak" as const];
    const own = await regions.addKey({ tenant_id: newTenant(), scopes });
    const others = await regions.addKey({ tenant_id: newTenant(), scopes });
    const batch = "/v1/audio/speech/batch";
    const held = [await begin(call, own, PATH), await begin(call, own, batch)];
    for (const path of [PATH, batch]) {
      const { answer } = await begin(call, own, path);
      expect((await answer).headers.get("retry-after")).toBe("1");
      expect(((await (await answer).json()) as { code: string }).code).toBe("too_many_in_flight");
    }
    held.push(await begin(call, others, batch));
    expect(await codeOf(await (await begin(call, others, PATH)).answer)).toBe("system_busy");
    expect((await send({}, { "content-length": "500" })).status).toBe(200);
    expect(await codeOf(await send({}))).toBe("system_busy");

    for (const { end } of held) end();
    const codes = await Promise.all(held.map(async ({ answer }) => codeOf(await answer)));
    expect(codes).toEqual(["invalid_request", "malformed_json", "malformed_json"]);
    expect((await send({})).status).toBe(200);
  });

  test("none that says that it is small and is not", async () => {
    const { send } = await ready();
    const large = "x".repeat(1024 * 1024);
    expect(await codeOf(await send({}, { "content-length": "500" }, large))).toBe("body_too_large");
    expect((await send({}, {}, large)).status).toBe(200);
  });
});

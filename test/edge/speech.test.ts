import { expect, test } from "vitest";
import { fliteVoices, MAX_SPEECH_CHARACTERS, VoiceList } from "../../shared/contracts/speech.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import {
  codeOf,
  NEAR_DUBLIN,
  NEAR_MUMBAI,
  newTenant,
  problemOf,
  startEdge,
} from "./support/start-edge.ts";

const ROUTE = "POST /internal/speech";

async function ready(more: { residency?: "global" | "eu"; scopes?: ("speak" | "analyze")[] } = {}) {
  const edge = startEdge();
  const tenant = newTenant("speech");
  const key = await edge.regions.addKey({ tenant_id: tenant, scopes: ["speak"], ...more });
  const speak = (body: object, cf = NEAR_DUBLIN) =>
    edge.call("/v1/audio/speech", { key, body: { input: "Hello", ...body }, cf });
  return { ...edge, tenant, key, speak };
}

const sound = (region: string) =>
  new Response(new Uint8Array([1, 2, 3]), {
    headers: {
      "content-type": "audio/mpeg",
      "x-antiphon-cache": "miss",
      "x-antiphon-region": region,
      "set-cookie": "inner=1",
    },
  });

test("OpenAI's request reaches the nearest region in our words, and its audio passes through", async () => {
  const { regions, speak, tenant } = await ready();
  regions.on(ROUTE, ({ region }) => sound(region));
  const answer = await speak({
    model: "tts-1",
    voice: "nova",
    speed: 1.5,
    response_format: "opus",
  });
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("audio/mpeg");
  expect(answer.headers.get("x-antiphon-cache")).toBe("miss");
  expect(answer.headers.get("set-cookie")).toBeNull();
  expect(new Uint8Array(await answer.arrayBuffer())).toEqual(new Uint8Array([1, 2, 3]));
  expect(regions.asked("/internal/speech")).toMatchObject([
    {
      region: "eu-west",
      body: {
        tenant_id: tenant,
        residency: "global",
        input: "Hello",
        voice: "slt",
        response_format: "opus",
        speed: 1.5,
      },
    },
  ]);
});

test("the first sound arrives while the region is still speaking", async () => {
  const { regions, speak } = await ready();
  let more: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      more = controller;
      controller.enqueue(new Uint8Array([1]));
    },
  });
  regions.on(ROUTE, () => new Response(body));
  const reader = (await speak({})).body!.getReader();
  expect((await reader.read()).value).toEqual(new Uint8Array([1]));
  // Were the answer gathered first, the read above would wait for this.
  more!.enqueue(new Uint8Array([2]));
  more!.close();
  expect((await reader.read()).value).toEqual(new Uint8Array([2]));
  expect((await reader.read()).done).toBe(true);
});

test("a region that is away or busy is passed over, within the tenant's residency", async () => {
  const { regions, speak } = await ready();
  regions.on(ROUTE, ({ region }) => sound(region));
  regions.down.add("ap-south");
  expect((await speak({}, NEAR_MUMBAI)).headers.get("x-antiphon-region")).not.toBe("ap-south");

  const busy = await ready();
  busy.regions.on(ROUTE, ({ region }) => {
    if (region === "eu-west") throw new ApiError("system_busy");
    return sound(region);
  });
  expect((await busy.speak({})).headers.get("x-antiphon-region")).toBe("us-east");
  expect(busy.regions.asked("/internal/speech").map(({ region }) => region)).toEqual([
    "eu-west",
    "us-east",
  ]);

  const bound = await ready({ residency: "eu" });
  bound.regions.refuse(ROUTE, "system_busy");
  const refused = await bound.speak({});
  expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
  expect(await codeOf(refused)).toBe("system_busy");
  expect(bound.regions.asked("/internal/speech").map(({ region }) => region)).toEqual(["eu-west"]);
});

test("what the region finds wrong with the text is told as it is, and asked nowhere else", async () => {
  const { regions, speak } = await ready();
  regions.refuse(ROUTE, "text_language_unsupported");
  expect(await codeOf(await speak({ input: "Привет" }))).toBe("text_language_unsupported");
  expect(regions.asked("/internal/speech").length).toBe(1);
});

test.each([
  [{ input: "" }, "input", "empty"],
  [{ input: "x".repeat(MAX_SPEECH_CHARACTERS + 1) }, "input", "4096"],
  [{ input: 5 }, "input", "text"],
  [{ voice: "no body" }, "voice", "GET /v1/voices"],
  [{ response_format: "aac" }, "response_format", "aac is not made here"],
  [{ response_format: "midi" }, "response_format", "mp3, opus, flac, wav, pcm"],
  [{ speed: 0.2 }, "speed", "0.25"],
  [{ speed: 5 }, "speed", "4"],
  [{ model: "dall-e" }, "model", "flite"],
  [{ stream_format: "sse" }, "stream_format", "audio"],
])("%o is refused with the field's name and what would do (%s)", async (body, path, told) => {
  const { regions, speak } = await ready();
  const problem = await problemOf(await speak(body));
  expect(problem).toMatchObject({ code: "invalid_request", status: 400, errors: [{ path }] });
  expect(problem.errors![0]!.message).toContain(told);
  expect(regions.asked("/internal/speech")).toEqual([]);
});

test("as many emoji as there may be characters are not too many", async () => {
  const { regions, speak } = await ready();
  regions.on(ROUTE, ({ region }) => sound(region));
  expect((await speak({ input: "\u{1f600}".repeat(MAX_SPEECH_CHARACTERS) })).status).toBe(200);
});

test("speech needs its own scope", async () => {
  const { call, key } = await ready({ scopes: ["analyze"] });
  for (const answer of [
    await call("/v1/audio/speech", { key, body: { input: "Hello" } }),
    await call("/v1/voices", { key }),
  ]) {
    expect(answer.status).toBe(403);
    expect((await problemOf(answer)).detail).toContain('"speak"');
  }
});

test("the voices are those of the nearest region that answers", async () => {
  const { regions, call, key } = await ready();
  const heart = { ...fliteVoices[0]!, id: "af_heart", engine: "kokoro", aliases: [] };
  regions.on("GET /internal/voices", ({ region }) => {
    if (region === "eu-west") throw new ApiError("dependency_unavailable");
    return Response.json({ data: [...fliteVoices, heart] });
  });
  const { data } = VoiceList.parse(
    await (await call("/v1/voices", { key, cf: NEAR_DUBLIN })).json(),
  );
  expect(data.map(({ id }) => id)).toEqual(["slt", "rms", "awb", "kal", "af_heart"]);
  expect(data[0]!.aliases).toContain("alloy");
  expect(regions.asked("/internal/voices").map(({ region }) => region)).toEqual([
    "eu-west",
    "us-east",
  ]);
});

test("a voice that is not installed in one region speaks in another; in none, its install command is told", async () => {
  const { regions, speak } = await ready();
  regions.on(ROUTE, ({ region }) => {
    if (region === "eu-west") throw new ApiError("voice_not_installed");
    return sound(region);
  });
  expect((await speak({ voice: "af_heart" })).headers.get("x-antiphon-region")).toBe("us-east");

  const nowhere = await ready();
  nowhere.regions.on(ROUTE, () => {
    throw new ApiError("voice_not_installed", "Install it with: npm run models -- pull kokoro-82m");
  });
  const problem = await problemOf(await nowhere.speak({ voice: "af_heart" }));
  expect(problem).toMatchObject({ code: "voice_not_installed", status: 422 });
  expect(problem.detail).toContain("npm run models -- pull kokoro-82m");
});

import { expect, test } from "vitest";
import { ModelList } from "../../shared/contracts/models.ts";
import type { ModelInfo } from "../../shared/contracts/models.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { codeOf, NEAR_DUBLIN, newTenant, startEdge } from "./support/start-edge.ts";

const model: ModelInfo = {
  id: "whisper-tiny",
  object: "model",
  created: 0,
  owned_by: "onnx-community",
  task: "transcribe",
  version: "ff417702",
  model_sha256: "a".repeat(64),
  licence: "Apache-2.0",
  commercial_use: true,
  quality: "full",
  memory_mb: 200,
  installed: false,
  reason: "The model whisper-tiny is not installed.",
  install: "npm run models -- pull whisper-tiny",
};

async function ready(more: { residency?: "global" | "eu"; scopes?: ("speak" | "analyze")[] } = {}) {
  const edge = startEdge();
  const key = await edge.regions.addKey({
    tenant_id: newTenant("models"),
    scopes: ["analyze"],
    ...more,
  });
  const list = (id = "") => edge.call(`/v1/models${id}`, { key, cf: NEAR_DUBLIN });
  return { ...edge, list };
}

test("the models are those of the nearest region that answers, in OpenAI's form", async () => {
  const { regions, list } = await ready();
  regions.on("GET /internal/models", ({ region }) => {
    if (region === "eu-west") throw new ApiError("dependency_unavailable");
    return Response.json({ object: "list", data: [model] });
  });
  const answer = await list();
  expect(answer.status).toBe(200);
  expect(ModelList.parse(await answer.json())).toEqual({ object: "list", data: [model] });
  expect(regions.asked("/internal/models").map(({ region }) => region)).toEqual([
    "eu-west",
    "us-east",
  ]);
});

test("one model is as the list has it, and one that is not there is refused as OpenAI's clients expect", async () => {
  const { regions, list } = await ready();
  const other = { ...model, id: "distil-whisper-small.en" };
  regions.on("GET /internal/models", () => ({ object: "list", data: [model, other] }));
  expect(await (await list("/distil-whisper-small.en")).json()).toEqual(other);
  const answer = await list("/whisper-9");
  expect([answer.status, await answer.json()]).toEqual([
    404,
    expect.objectContaining({
      code: "model_not_found",
      error: expect.objectContaining({ code: "model_not_found", type: "invalid_request_error" }),
    }),
  ]);
});

test("a region that answers with something else is not believed", async () => {
  const { regions, list } = await ready({ residency: "eu" });
  regions.on("GET /internal/models", () =>
    Response.json({ object: "list", data: [{ ...model, path: "/srv/models" }] }),
  );
  expect((await list()).status).toBe(503);
});

test("a key that may not analyse sees none", async () => {
  const { list } = await ready({ scopes: ["speak"] });
  const answer = await list();
  expect(answer.status).toBe(403);
  expect(await codeOf(answer)).toBe("insufficient_scope");
});

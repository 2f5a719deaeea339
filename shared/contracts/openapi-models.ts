import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { ModelInfo, ModelList } from "./models.ts";
import { call, headers, json, KEY_ERRORS, routed } from "./openapi-call.ts";

/** What runs where; a part of the API's description. */
export const modelPaths: ZodOpenApiPathsObject = {
  "/v1/models": {
    get: call(
      {
        operationId: "listModels",
        summary: "List the models and engines, and which are installed",
        tags: ["Operations"],
        description:
          "Those of the region that would be asked first, as they lie in its models folder. OpenAI's form, and beside it task, version, hash, licence, and the command that installs what is missing.",
        requestParams: { header: headers(routed) },
      },
      [{ status: 200, description: "The models", content: json(ModelList) }],
      [...KEY_ERRORS, "region_unavailable", "dependency_unavailable"],
    ),
  },
  "/v1/models/{id}": {
    get: call(
      {
        operationId: "getModel",
        summary: "Get one model or engine",
        tags: ["Operations"],
        description: "As the list has it.",
        requestParams: { path: z.object({ id: z.string() }), header: headers(routed) },
      },
      [{ status: 200, description: "The model", content: json(ModelInfo) }],
      [...KEY_ERRORS, "model_not_found", "region_unavailable", "dependency_unavailable"],
    ),
  },
};

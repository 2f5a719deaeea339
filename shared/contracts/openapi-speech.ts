import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { BODY_ERRORS, call, header, headers, json, KEY_ERRORS, routed } from "./openapi-call.ts";
import { CreateSpeech, speechContentType, VoiceList } from "./speech.ts";

const audio = Object.fromEntries(
  Object.values(speechContentType).map((type) => [
    type,
    { schema: z.string().meta({ format: "binary" }) },
  ]),
);

/** The calls that make speech; a part of the API's description. */
export const speechPaths: ZodOpenApiPathsObject = {
  "/v1/audio/speech": {
    post: call(
      {
        operationId: "createSpeech",
        summary: "Speak a text",
        tags: ["Speech"],
        description:
          "OpenAI's call: its clients work with `base_url` set to this API. The audio streams as it is made, sentence by sentence. The same text, voice, speed and format give the same audio, kept per tenant and found again. Needs the scope `speak`.",
        requestParams: { header: headers(routed) },
        requestBody: { required: true, content: json(CreateSpeech) },
      },
      [
        {
          status: 200,
          description: "The audio, as it is made",
          content: audio,
          headers: {
            "X-Antiphon-Cache": header("`hit` when this was spoken before, else `miss`"),
            "X-Antiphon-Engine": header("Name and version of what spoke"),
            "X-Antiphon-Voice": header("The voice's own id"),
            "X-Antiphon-Sample-Rate": header("Hz"),
            "X-Antiphon-Region": header("Where it was spoken"),
          },
        },
      ],
      [
        ...KEY_ERRORS,
        ...BODY_ERRORS.filter((code) => !/idempotency|in_progress/.test(code)),
        "text_empty",
        "text_language_unsupported",
        "language_unsupported",
        "voice_not_installed",
        "system_busy",
        "region_unavailable",
      ],
    ),
  },
  "/v1/voices": {
    get: call(
      {
        operationId: "listVoices",
        summary: "List the voices",
        tags: ["Speech"],
        description:
          "Those of the region that would speak: flite's, and those of the models that are installed there. Needs the scope `speak`.",
        requestParams: { header: headers(routed) },
      },
      [{ status: 200, description: "The voices", content: json(VoiceList) }],
      [...KEY_ERRORS, "dependency_unavailable"],
    ),
  },
};

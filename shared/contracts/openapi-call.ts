import { z } from "zod";
import type { ZodOpenApiOperationObject } from "zod-openapi";
import { catalogue, type ErrorCode } from "../errors/catalogue.ts";
import { Problem } from "../errors/problem.ts";

/** Of every call that needs an API key. */
export const KEY_ERRORS: ErrorCode[] = [
  "unauthenticated",
  "invalid_api_key",
  "invalid_token",
  "revoked_api_key",
  "expired_api_key",
  "insufficient_scope",
  "rate_limited",
  "too_many_in_flight",
  "dependency_unavailable",
  "internal",
];
/** Of every call that takes a JSON body. */
export const BODY_ERRORS: ErrorCode[] = [
  "invalid_request",
  "malformed_json",
  "unsupported_media_type",
  "body_too_large",
  "body_too_slow",
  "idempotency_key_reused",
  "request_in_progress",
];

const REQUEST_HEADERS = {
  "X-Request-Id": z
    .string()
    .max(64)
    .optional()
    .meta({ description: "Comes back on the answer; made up when absent." }),
  traceparent: z.string().optional().meta({ description: "W3C trace context, continued." }),
};
/** Request headers: those of every call, and `more`. */
export const headers = (more: Record<string, z.ZodType> = {}) =>
  z.object({ ...REQUEST_HEADERS, ...more });
/** Request header of calls that may be repeated safely. */
export const idempotent = {
  "Idempotency-Key": z.string().min(1).max(255).optional().meta({
    description:
      "The same request again under the same key within 24 hours gets the first one's answer, marked `Idempotency-Replayed: true`.",
  }),
};
/** Request header of calls that are routed. */
export const routed = {
  "X-Antiphon-Region": z
    .string()
    .optional()
    .meta({ description: "Asks for a region. Outside production only; ignored there." }),
};

interface Success {
  status: number;
  description: string;
  content?: Record<string, { schema: z.ZodType }>;
  headers?: Record<string, { description: string; schema: { type: "string" } }>;
}

/** `content` of a JSON body. */
export const json = (schema: z.ZodType) => ({ "application/json": { schema } });
/** A response header. */
export const header = (description: string) => ({
  description,
  schema: { type: "string" as const },
});

/** One call: its successes, and the errors it can answer with, grouped by their status. */
export function call(
  about: Omit<ZodOpenApiOperationObject, "responses"> & { operationId: string; summary: string },
  successes: Success[],
  errors: readonly ErrorCode[],
): ZodOpenApiOperationObject {
  const byStatus = Map.groupBy(new Set(errors), (code) => catalogue[code].status);
  const failures = Array.from(byStatus, ([status, codes]) => [
    String(status),
    {
      description: codes.map((code) => `\`${code}\`: ${catalogue[code].title}.`).join(" "),
      content: { "application/problem+json": { schema: Problem } },
    },
  ]);
  return {
    ...about,
    responses: {
      ...Object.fromEntries(successes.map(({ status, ...response }) => [String(status), response])),
      ...Object.fromEntries(failures),
    },
  };
}

/** For calls that need no API key. */
export const open = { security: [] };

/** GET or HEAD of a signed audio URL. */
export const audioCall = (operationId: string, summary: string) =>
  call(
    {
      operationId,
      summary,
      tags: ["Audio"],
      ...open,
      description:
        "The address comes from a job's `audio_url`; its own signature is the permit. Audio never changes under its address.",
      requestParams: {
        path: z.object({
          region: z.string(),
          file: z.string().meta({ description: "`{sha256}.{extension}`" }),
        }),
        query: z.object({
          own: z.string().meta({ description: "Residency and tenant" }),
          exp: z.string().meta({ description: "Unix seconds" }),
          kid: z.string(),
          sig: z.string(),
          ip: z.string().optional().meta({ description: "The only network from which it works" }),
        }),
        header: headers({
          Range: z
            .string()
            .optional()
            .meta({ description: "One byte range: `bytes=0-99`; for several, the whole is sent" }),
          "If-None-Match": z.string().optional(),
          "If-Range": z.string().optional(),
        }),
      },
    },
    [
      {
        status: 200,
        description: "The audio",
        content: { "audio/*": { schema: z.string().meta({ format: "binary" }) } },
      },
      {
        status: 206,
        description: "The range of it",
        content: { "audio/*": { schema: z.string().meta({ format: "binary" }) } },
      },
      { status: 304, description: "What the client has is still right" },
    ],
    [
      "invalid_signature",
      "expired_url",
      "audio_not_found",
      "range_not_satisfiable",
      "dependency_unavailable",
    ],
  );

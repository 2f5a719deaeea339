import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import {
  DeadLetter,
  DeadLetterId,
  DeadLetterList,
  DiscardedDeadLetters,
  ListDeadLetters,
  PickDeadLetters,
  ReplayedDeadLetters,
} from "./dead-letters.ts";
import { BODY_ERRORS, call, headers, json, KEY_ERRORS } from "./openapi-call.ts";

/** The calls by which operators look after jobs that failed on every attempt; a part of the API's description. */
export const deadLetterPaths: ZodOpenApiPathsObject = {
  "/v1/admin/dead-letters": {
    get: call(
      {
        operationId: "listDeadLetters",
        summary: "Jobs that failed through no fault of their recording",
        tags: ["Admin"],
        requestParams: { query: ListDeadLetters, header: headers() },
      },
      [
        {
          status: 200,
          description: "One page, by region, the oldest first",
          content: json(DeadLetterList),
        },
      ],
      [...KEY_ERRORS, "invalid_request"],
    ),
  },
  "/v1/admin/dead-letters/{id}": {
    get: call(
      {
        operationId: "getDeadLetter",
        summary: "Why a job failed: its attempts, and what was to be done",
        tags: ["Admin"],
        requestParams: { path: z.object({ id: DeadLetterId }), header: headers() },
      },
      [{ status: 200, description: "The letter, without content", content: json(DeadLetter) }],
      [...KEY_ERRORS, "not_found"],
    ),
  },
  "/v1/admin/dead-letters/replay": {
    post: call(
      {
        operationId: "replayDeadLetters",
        summary: "Submit jobs again, each under a new id",
        tags: ["Admin"],
        description:
          "A job that failed stays failed; the letter is marked with the job that replays it, once. With `all`, those that were not replayed yet, some at a time: go on with `next_cursor`.",
        requestParams: { header: headers() },
        requestBody: { required: true, content: json(PickDeadLetters) },
      },
      [
        {
          status: 200,
          description: "What became of each letter",
          content: json(ReplayedDeadLetters),
        },
      ],
      [...KEY_ERRORS, ...BODY_ERRORS, "not_replayable"],
    ),
  },
  "/v1/admin/dead-letters/discard": {
    post: call(
      {
        operationId: "discardDeadLetters",
        summary: "Remove letters for good",
        tags: ["Admin"],
        requestParams: { header: headers() },
        requestBody: { required: true, content: json(PickDeadLetters) },
      },
      [{ status: 200, description: "How many went", content: json(DiscardedDeadLetters) }],
      [...KEY_ERRORS, ...BODY_ERRORS, "not_found"],
    ),
  },
};

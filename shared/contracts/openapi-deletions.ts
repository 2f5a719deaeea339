import { z } from "zod";
import type { ZodOpenApiPathsObject } from "zod-openapi";
import { CreateDeletion, DeletionId, DeletionReceipt } from "./deletions.ts";
import { BODY_ERRORS, call, headers, idempotent, json, KEY_ERRORS, open } from "./openapi-call.ts";
import { JobId } from "./ids.ts";

const ABOUT =
  "What it names is hidden at once, and removed from every store of every region; a region that is away does its part when it is back, and the receipt is `partial` until then; at most 100 deletions may be open at once. Usage stays, without content.";
const receipt = (status: number, description: string) => ({
  status,
  description,
  content: json(DeletionReceipt),
});

/** The calls that delete data; a part of the API's description. */
export const deletionPaths: ZodOpenApiPathsObject = {
  "/v1/deletions": {
    post: call(
      {
        operationId: "createDeletion",
        summary: "Delete a job's data, an end user's, or all of it",
        tags: ["Deletion"],
        description: `${ABOUT} Of the scopes \`user_id\` and \`all\`, what was made until now goes; both need an API key, a token (JWT) may only name a \`job_id\`.`,
        requestParams: { header: headers(idempotent) },
        requestBody: { required: true, content: json(CreateDeletion) },
      },
      [receipt(202, "Begun; the receipt so far")],
      [...KEY_ERRORS, ...BODY_ERRORS, "job_not_found", "not_available"],
    ),
  },
  "/v1/deletions/{id}": {
    get: call(
      {
        operationId: "getDeletion",
        summary: "The signed receipt of a deletion",
        tags: ["Deletion"],
        description:
          "`jws` is the receipt as a compact JWS (EdDSA, Ed25519); any JOSE library verifies it with the keys at `/.well-known/jwks.json`. It can be read for 400 days after the deletion is complete, the newest 100,000 of a tenant: keep it yourself for longer.",
        requestParams: { path: z.object({ id: DeletionId }), header: headers() },
      },
      [receipt(200, "The receipt")],
      [...KEY_ERRORS, "not_found", "not_available"],
    ),
  },
  "/.well-known/jwks.json": {
    get: call(
      {
        operationId: "getReceiptKeys",
        summary: "The public keys of receipts",
        tags: ["Deletion"],
        ...open,
      },
      [
        {
          status: 200,
          description: "A JSON Web Key Set",
          content: json(z.object({ keys: z.array(z.record(z.string(), z.string())) })),
        },
      ],
      [],
    ),
  },
};

/** `DELETE /v1/jobs/{id}`, which stands beside the path's other calls. */
export const deleteJobCall = call(
  {
    operationId: "deleteJob",
    summary: "Delete a job and its data",
    tags: ["Deletion"],
    description: ABOUT,
    requestParams: { path: z.object({ id: JobId }), header: headers() },
  },
  [receipt(202, "Begun; the receipt so far")],
  [...KEY_ERRORS, "job_not_found", "not_available"],
);

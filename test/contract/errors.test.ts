import { expect, test } from "vitest";
import { catalogue, type ErrorCode } from "../../shared/errors/catalogue.ts";
import { CreateDeletion } from "../../shared/contracts/deletions.ts";
import { CreateAnalysis } from "../../shared/contracts/job.ts";
import { ListJobs } from "../../shared/contracts/openapi.ts";
import {
  ApiError,
  parseRequest,
  Problem,
  problemResponse,
  toProblem,
} from "../../shared/errors/problem.ts";

test.each(Object.keys(catalogue) as ErrorCode[])(
  "%s answers as the catalogue says",
  async (code) => {
    const response = problemResponse(new ApiError(code), "req_1");
    expect(response.status).toBe(catalogue[code].status);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    const problem = Problem.parse(await response.json());
    expect(problem).toMatchObject({
      code,
      request_id: "req_1",
      retryable: catalogue[code].retryable,
    });
    if ([429, 503].includes(response.status))
      expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
  },
);

test("nothing of an unforeseen error is shown to the client", () => {
  const problem = toProblem(new Error("password=hunter2 at /srv/app/db.ts:12"), "req_1");
  expect(problem.code).toBe("internal");
  expect(JSON.stringify(problem)).not.toMatch(/hunter2|db\.ts/);
});

test.each([
  [CreateAnalysis, {}, "upload_id", "is missing"],
  [CreateAnalysis, { upload_id: "x" }, "upload_id", "is not the id of an upload"],
  [ListJobs, { limit: "abc" }, "limit", "must be a number"],
  [CreateDeletion, {}, "", "must be one of job_id, user_id and all: true, alone"],
  [CreateDeletion, { user_id: "a b" }, "user_id", "must be printable ASCII without spaces"],
])(
  "what is wrong with a request is said in words, not in patterns (%#)",
  (schema, body, path, message) => {
    const refused = expect.objectContaining({ errors: [{ path, message }] });
    expect(() => parseRequest(schema, body)).toThrow(refused);
  },
);

import { z } from "zod";
import { catalogue, ErrorCode } from "./catalogue.ts";
import { explainIssue, FieldError, fieldErrors } from "./explain-request.ts";

/** RFC 9457 problem details, with our code, the request id, and whether to retry. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: ErrorCode,
    detail: z.string(),
    request_id: z.string(),
    retryable: z.boolean(),
    errors: z.array(FieldError).optional(),
  })
  .meta({ id: "Problem" });
export type Problem = z.infer<typeof Problem>;

export interface ApiErrorOptions {
  errors?: FieldError[];
  /** Extra response headers, such as Retry-After or Allow. */
  headers?: Record<string, string>;
  cause?: unknown;
}

/** An error from the catalogue; the only kind that may reach a client. `message` is the problem's `detail`. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly errors: FieldError[] | undefined;
  readonly headers: Record<string, string>;

  constructor(code: ErrorCode, detail?: string, options: ApiErrorOptions = {}) {
    super(detail ?? catalogue[code].title, { cause: options.cause });
    this.name = "ApiError";
    this.code = code;
    this.errors = options.errors;
    this.headers = options.headers ?? {};
  }

  get status(): number {
    return catalogue[this.code].status;
  }

  get retryable(): boolean {
    return catalogue[this.code].retryable;
  }
}

/** Where the API reference tells of an error: a reference relative to the API, wherever it is deployed (RFC 9457, 3.1.1). */
export const problemType = (code: ErrorCode): string => `/docs#error-${code}`;

/** The problem body for any thrown value. What is not from the catalogue becomes `internal`, with nothing of it shown. */
export function toProblem(error: unknown, requestId: string): Problem {
  const known = error instanceof ApiError ? error : new ApiError("internal");
  const entry = catalogue[known.code];
  return {
    type: problemType(known.code),
    title: entry.title,
    status: entry.status,
    code: known.code,
    detail: known.message,
    request_id: requestId,
    retryable: entry.retryable,
    ...(known.errors ? { errors: known.errors } : {}),
  };
}

/** A problem as an HTTP response. 503 and 429 always tell when to come back. */
export function problemResponse(error: unknown, requestId: string): Response {
  const problem = toProblem(error, requestId);
  const headers = new Headers({
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "x-request-id": requestId,
  });
  if (problem.status === 503 || problem.status === 429) headers.set("retry-after", "2");
  if (problem.status === 401) headers.set("www-authenticate", 'Bearer realm="antiphon"');
  if (error instanceof ApiError) {
    for (const [name, value] of Object.entries(error.headers)) headers.set(name, value);
  }
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

/** At most so many faults of one request are told. */
const MAX_FIELD_ERRORS = 20;

/** `schema.safeParse`, with what is wrong in words for whoever sent it. */
export function checkRequest<T extends z.ZodType>(
  schema: T,
  value: unknown,
): { ok: true; data: z.output<T> } | { ok: false; errors: FieldError[] } {
  const { data, error } = schema.safeParse(value, { error: explainIssue });
  if (error) return { ok: false, errors: fieldErrors(error.issues).slice(0, MAX_FIELD_ERRORS) };
  return { ok: true, data: data as z.output<T> };
}

/** `schema.parse` with a catalogue error. */
export function parseRequest<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const checked = checkRequest(schema, value);
  if (checked.ok) return checked.data;
  throw new ApiError("invalid_request", "Some fields are not valid.", { errors: checked.errors });
}

import type { z } from "zod";
import { Problem } from "../errors/problem.ts";
import { AntiphonError, ConnectionError } from "./errors.ts";
import { sleep } from "./sleep.ts";

export interface CallOptions {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export interface HttpOptions {
  baseUrl: string;
  apiKey: string;
  /** Sent with every call. */
  headers?: Record<string, string>;
  /** How often a call is repeated after a retryable answer or a broken connection. */
  retries?: number;
  fetch?: typeof fetch;
}

const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 8_000;

/**
 * Calls of the API: JSON in, a checked value or a stream out. Retries what is safe to repeat: every POST carries
 * an idempotency key, so a repeated one cannot take effect twice.
 */
export function createHttp(options: HttpOptions) {
  const { apiKey, retries = 4 } = options;
  const send = options.fetch ?? fetch;
  const base = new URL(options.baseUrl);

  async function once(path: string, call: CallOptions, idempotencyKey: string): Promise<Response> {
    const method = call.method ?? "GET";
    const headers = new Headers({ ...options.headers, ...call.headers });
    headers.set("authorization", `Bearer ${apiKey}`);
    if (method === "POST") headers.set("idempotency-key", idempotencyKey);
    if (call.body !== undefined) headers.set("content-type", "application/json");
    try {
      return await send(new URL(path, base), {
        method,
        headers,
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        ...(call.signal ? { signal: call.signal } : {}),
      });
    } catch (error) {
      if (call.signal?.aborted) throw error;
      throw new ConnectionError(`${base.origin} did not answer`, { cause: error });
    }
  }

  async function repeat<T>(
    path: string,
    init: CallOptions,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const idempotencyKey = crypto.randomUUID();
    for (let attempt = 0; ; attempt++) {
      let waitMs: number;
      try {
        const response = await once(path, init, idempotencyKey);
        if (response.ok) return await read(response);
        const error = await readProblem(response);
        if (!isWorthRepeating(error.problem) || attempt >= retries) throw error;
        waitMs = retryAfterMs(response) ?? backoffMs(attempt);
      } catch (error) {
        if (!(error instanceof ConnectionError) || attempt >= retries) throw error;
        waitMs = backoffMs(attempt);
      }
      await sleep(waitMs, init.signal);
    }
  }

  /** A JSON answer. */
  const call = <T extends z.ZodType>(
    path: string,
    schema: T,
    init: CallOptions = {},
  ): Promise<z.output<T>> =>
    repeat(path, init, async (response) => schema.parse(await readJson(response, init.signal)));

  /** A success whose body is not yet read, and is the caller's to read. */
  const open = (path: string, init: CallOptions = {}): Promise<Response> =>
    repeat(path, init, (response) => Promise.resolve(response));

  return { call, open };
}

/** An upload that has not arrived may still come, but not by asking again. */
const isWorthRepeating = ({ retryable, status }: Problem): boolean => retryable && status !== 404;

/** An answer that breaks off is no answer: the call may be repeated as if the connection had failed at once. */
async function readJson(response: Response, signal: AbortSignal | undefined): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ConnectionError("the answer broke off, or is not JSON", { cause: error });
  }
}

/** Exponential backoff with full jitter. */
function backoffMs(attempt: number): number {
  return Math.random() * Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** attempt);
}

function retryAfterMs(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? Math.min(seconds * 1000, 60_000) : undefined;
}

/** The problem of a failed answer, or a ConnectionError when a stranger (a proxy, say) answered. */
export async function readProblem(response: Response): Promise<AntiphonError> {
  const parsed = Problem.safeParse(await response.json().catch(() => undefined));
  if (!parsed.success) throw new ConnectionError(`unexpected answer: HTTP ${response.status}`);
  return new AntiphonError(parsed.data);
}

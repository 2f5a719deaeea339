import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { createApp } from "../../../edge/app.ts";
import { readEdgeConfig, type EdgeBindings } from "../../../edge/env.ts";
import { createServices } from "../../../edge/services.ts";
import { Problem } from "../../../shared/errors/problem.ts";
import { edgeBindings } from "./bindings.ts";
import { stubRegions } from "./stub-regions.ts";

interface Call {
  method?: string;
  key?: string;
  /** Sent as JSON unless it is text, bytes or a stream. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Where Cloudflare would say that the client is. */
  cf?: { latitude: string; longitude: string };
}

export const NEAR_DUBLIN = { latitude: "53.3", longitude: "-6.2" };
export const NEAR_MUMBAI = { latitude: "19.1", longitude: "72.9" };

const names = new Map<string, number>();
/** A tenant that no other test has met: storage is shared by a file's tests. */
export function newTenant(name = "test"): string {
  names.set(name, (names.get(name) ?? 0) + 1);
  return `ten_${name}_${crypto.randomUUID().slice(0, 8)}`;
}

/** One isolate's edge, before stub regions. */
export function startEdge(more: Partial<EdgeBindings> = {}) {
  const regions = stubRegions();
  const bindings = edgeBindings(more);
  const services = createServices(bindings, readEdgeConfig(bindings));
  const app = createApp(services);
  const contexts: ExecutionContext[] = [];

  async function call(path: string, options: Call = {}): Promise<Response> {
    const { key, body, cf } = options;
    const headers = new Headers(options.headers);
    if (key !== undefined) headers.set("authorization", `Bearer ${key}`);
    const raw =
      typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
    if (body !== undefined && !headers.has("content-type")) {
      headers.set("content-type", "application/json");
    }
    const init = {
      method: options.method ?? (body === undefined ? "GET" : "POST"),
      headers,
      ...(body === undefined ? {} : { body: raw ? (body as BodyInit) : JSON.stringify(body) }),
      ...(cf ? { cf } : {}),
    };
    const request = new Request(new URL(path, "https://edge.test"), init as RequestInit);
    const context = createExecutionContext();
    contexts.push(context);
    return app.fetch(request, bindings, context);
  }

  /** Resolves when the work is done that answers did not wait for. */
  async function settled(): Promise<void> {
    for (const context of contexts.splice(0)) await waitOnExecutionContext(context);
  }

  return { call, settled, app, services, bindings, regions };
}

/** The problem in an answer, checked against its schema; `request_id` and status have to agree. */
export async function problemOf(response: Response): Promise<Problem> {
  const problem = Problem.parse(await response.json());
  if (response.headers.get("content-type") !== "application/problem+json") {
    throw new Error("a problem needs its own content type");
  }
  if (problem.status !== response.status) throw new Error("the statuses differ");
  if (problem.request_id !== response.headers.get("x-request-id")) {
    throw new Error("the request ids differ");
  }
  return problem;
}

export const codeOf = async (response: Response) => (await problemOf(response)).code;

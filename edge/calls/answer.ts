import type { EdgeContext } from "../context.ts";

/** A JSON answer. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

/** What absolute URLs in answers begin with: the deployment's own, or the one that the client used. */
export function baseUrl(c: EdgeContext, publicUrl: string | undefined): string {
  return publicUrl ?? new URL(c.req.url).origin;
}

import type { ServerResponse } from "node:http";
import { renderXml } from "./s3-xml.ts";

/** Sends a whole, small answer; `headers` with undefined values are left out. */
export function sendAnswer(
  response: ServerResponse,
  status: number,
  headers: Record<string, string | undefined> = {},
  body = "",
): void {
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) response.setHeader(name, value);
  }
  if (status !== 204 && status !== 304 && !response.hasHeader("content-length")) {
    response.setHeader("content-length", Buffer.byteLength(body));
  }
  response.writeHead(status);
  response.end(body);
}

/** Sends a result document of S3's REST API. */
export function sendXml(
  response: ServerResponse,
  root: string,
  content: Record<string, unknown>,
  headers: Record<string, string | undefined> = {},
): void {
  const body = renderXml(root, content);
  sendAnswer(response, 200, { "content-type": "application/xml", ...headers }, body);
}

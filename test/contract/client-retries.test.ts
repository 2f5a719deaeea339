import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createClient } from "../../shared/client/client.ts";
import { AntiphonError } from "../../shared/client/errors.ts";
import { ApiError, toProblem } from "../../shared/errors/problem.ts";
import type { ErrorCode } from "../../shared/errors/catalogue.ts";

const regions = { data: [] };

/** A server that answers with these errors, one after the other, and then with success. */
async function failing(...codes: ErrorCode[]) {
  const keys: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    keys.push(request.headers["idempotency-key"]?.toString());
    const code = codes[keys.length - 1];
    const error = code && new ApiError(code);
    response.writeHead(error?.status ?? 200, { "retry-after": "0" });
    response.end(JSON.stringify(error ? toProblem(error, "req_1") : regions));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { client: createClient({ baseUrl: `http://127.0.0.1:${port}`, apiKey: "k" }), keys };
}

test("a call whose twin is still being answered is repeated, not given up", async () => {
  const { client, keys } = await failing("request_in_progress", "region_unavailable");
  await expect(client.listRegions()).resolves.toEqual(regions);
  expect(keys).toHaveLength(3);
});

test("an upload that never came is told at once", async () => {
  const { client, keys } = await failing("upload_not_found");
  const refused = client.createAnalysis({ upload_id: "upl_x" });
  await expect(refused).rejects.toBeInstanceOf(AntiphonError);
  expect(keys).toHaveLength(1);
});

test("an answer that breaks off half way is asked for again, under the same idempotency key", async () => {
  const upload = { upload_id: "upl_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d", method: "PUT" };
  const body = JSON.stringify({
    ...upload,
    url: "https://objects.test/",
    headers: {},
    expires_at: new Date().toISOString(),
    region: "us-east",
  });
  const keys: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    keys.push(request.headers["idempotency-key"]?.toString());
    response.writeHead(201, { "content-length": body.length });
    if (keys.length > 1) return void response.end(body);
    response.write(body.slice(0, 20), () => request.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = createClient({ baseUrl: `http://127.0.0.1:${port}`, apiKey: "k" });
  const made = await client.createUpload({ content_type: "audio/wav", bytes: 1 });
  expect(made).toMatchObject(upload);
  expect(keys).toEqual([expect.any(String), keys[0]]);
});

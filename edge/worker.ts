import { ApiError, problemResponse } from "../shared/errors/problem.ts";
import { requestIdOf } from "./admit/request-id.ts";
import { createApp } from "./app.ts";
import { readEdgeConfig, type EdgeBindings } from "./env.ts";
import { describeError, log } from "./ops/log.ts";
import { createServices, type EdgeServices } from "./services.ts";

export { Deletions } from "./ledger/deletions.ts";
export { Idempotency } from "./ledger/idempotency.ts";
export { Ledger } from "./ledger/ledger.ts";
export { OpenShards } from "./ledger/open-shards.ts";
export { PrimaryLease } from "./primary/primary-lease.ts";
export { RegionProbes } from "./route/region-probes.ts";
export { Revocations } from "./admit/revocations.ts";
export { TenantLimits } from "./admit/tenant-limits.ts";

/** One app per isolate: its bindings are the same object for as long as the isolate lives. */
const apps = new WeakMap<EdgeBindings, Edge>();

interface Edge {
  app: ReturnType<typeof createApp>;
  services: EdgeServices;
}

function edgeFor(bindings: EdgeBindings): Edge {
  let edge = apps.get(bindings);
  if (!edge) {
    const services = createServices(bindings, readEdgeConfig(bindings));
    edge = { app: createApp(services), services };
    apps.set(bindings, edge);
  }
  return edge;
}

const isOfClient = (request: Request) => new URL(request.url).pathname.startsWith("/v1/");

export default {
  async fetch(request, bindings, context): Promise<Response> {
    try {
      const { app, services } = edgeFor(bindings);
      // Regions call at all times; only clients need to know which of them is well.
      const refresh = isOfClient(request) ? services.refreshHealth() : undefined;
      if (refresh) context.waitUntil(refresh);
      return await app.fetch(request, bindings, context);
    } catch (error) {
      // Only an incomplete environment gets here; the app answers for everything else itself.
      log("error", "the edge cannot serve", { error: describeError(error) });
      return problemResponse(new ApiError("dependency_unavailable"), requestIdOf(request));
    }
  },
} satisfies ExportedHandler<EdgeBindings>;

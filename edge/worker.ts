import { ApiError, problemResponse } from "../shared/errors/problem.ts";
import { requestIdOf } from "./admit/request-id.ts";
import { createApp } from "./app.ts";
import { readEdgeConfig, type EdgeBindings } from "./env.ts";
import { describeError, log } from "./ops/log.ts";
import { createServices } from "./services.ts";

export { Idempotency } from "./ledger/idempotency.ts";
export { Ledger } from "./ledger/ledger.ts";
export { Revocations } from "./admit/revocations.ts";
export { TenantLimits } from "./admit/tenant-limits.ts";

/** One app per isolate: its bindings are the same object for as long as the isolate lives. */
const apps = new WeakMap<EdgeBindings, ReturnType<typeof createApp>>();

function appFor(bindings: EdgeBindings): ReturnType<typeof createApp> {
  let app = apps.get(bindings);
  if (!app) {
    app = createApp(createServices(bindings, readEdgeConfig(bindings)));
    apps.set(bindings, app);
  }
  return app;
}

export default {
  async fetch(request, bindings, context): Promise<Response> {
    try {
      return await appFor(bindings).fetch(request, bindings, context);
    } catch (error) {
      // Only an incomplete environment gets here; the app answers for everything else itself.
      log("error", "the edge cannot serve", { error: describeError(error) });
      return problemResponse(new ApiError("dependency_unavailable"), requestIdOf(request));
    }
  },
} satisfies ExportedHandler<EdgeBindings>;

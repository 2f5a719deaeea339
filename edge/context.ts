import type { Context } from "hono";
import type { KeyRecord } from "../shared/contracts/api-key.ts";
import type { EdgeBindings } from "./env.ts";

/** Who calls: the key's record, and the key itself for what must be sealed with it. */
export interface Caller {
  key: KeyRecord;
  apiKey: string;
}

export interface EdgeHono {
  Bindings: EdgeBindings;
  Variables: { requestId: string; traceparent: string; caller: Caller };
}

export type EdgeContext = Context<EdgeHono>;

/** Goes with every call that a request causes, so that its way can be followed. */
export interface Trace {
  requestId: string;
  traceparent: string;
}

export const traceOf = (c: EdgeContext): Trace => ({
  requestId: c.get("requestId"),
  traceparent: c.get("traceparent"),
});

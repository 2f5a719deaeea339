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
  Variables: {
    requestId: string;
    traceparent: string;
    caller: Caller;
    /** The token of the newest write that this request made. */
    consistency?: string;
  };
}

export type EdgeContext = Context<EdgeHono>;

/** Goes with every call that a request causes, so that its way can be followed. */
export interface Trace {
  requestId: string;
  traceparent: string;
  /** The caller's token: reads of the database are to see what it stands for. */
  consistency?: string | undefined;
  /** Hears the token of what a call has written. */
  wrote?: (consistency: string) => void;
}

export const traceOf = (c: EdgeContext): Trace => ({
  requestId: c.get("requestId"),
  traceparent: c.get("traceparent"),
  consistency: c.get("consistency") ?? c.req.header("x-antiphon-consistency"),
  wrote: (consistency) => c.set("consistency", consistency),
});

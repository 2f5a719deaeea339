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
  /** The key that asked for it: who did it, in the audit log. */
  actor?: string | undefined;
  /** The caller's token: reads of the database are to see what it stands for. */
  consistency?: string | undefined;
  /** Hears the token of what a call has written. */
  wrote?: (consistency: string) => void;
}

export const traceOf = (c: EdgeContext): Trace => ({
  requestId: c.get("requestId"),
  traceparent: c.get("traceparent"),
  // Nobody yet, while it is being found out who calls.
  actor: (c.get("caller") as Caller | undefined)?.key.key_id,
  consistency: c.get("consistency") ?? c.req.header("x-antiphon-consistency"),
  wrote: (consistency) => c.set("consistency", consistency),
});

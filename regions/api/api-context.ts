import type { Logger } from "../ops/logger.ts";

/** What the middleware has found out about a request. */
export interface ApiEnv {
  Variables: {
    requestId: string;
    logger: Logger;
    /** The body as it was signed. */
    body: string;
  };
}

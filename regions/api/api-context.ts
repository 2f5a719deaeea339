import type { Logger } from "../ops/logger.ts";

/** What the middleware has found out about a request. */
export interface ApiEnv {
  Variables: {
    requestId: string;
    logger: Logger;
    /** What the line in the log about this request tells besides. */
    outcome?: object;
    /** The body as it was signed. */
    body: string;
  };
}

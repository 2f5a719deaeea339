import { failed, type Ending } from "./completion.ts";
import type { Completion } from "./queue-port.ts";

/** The end of a job whose last attempt did not come through: failed, never dropped. */
export function exhausted(ending: Ending & { reason: string }): Completion {
  return failed({
    ...ending,
    code: "job_attempts_exhausted",
    detail: `No attempt came through; the last one ended because ${ending.reason}.`,
  });
}

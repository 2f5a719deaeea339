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

/** The end of a job that could not be begun, or not be ended, by its deadline. */
export function overdue(ending: Ending): Completion {
  return failed({
    ...ending,
    code: "deadline_exceeded",
    detail: `It was to be done by ${ending.spec.deadline_at ?? "its deadline"}.`,
  });
}

/** The end of a job whose specification is not what the contract says. */
export function unreadable(ending: Ending): Completion {
  return failed({
    ...ending,
    code: "internal",
    detail: "The job's specification could not be read.",
  });
}

/** Why a stalled run ended. */
export const STALLED = "the worker stopped answering";

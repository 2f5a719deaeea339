import type { Epoch } from "../../../shared/contracts/epoch.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { failed } from "../../../regions/queue/completion.ts";
import type { Completion } from "../../../regions/queue/queue-port.ts";

/** What a no-op job comes to: the smallest outcome that the ledger takes. */
export function outcomeOf(spec: JobSpec, epoch: Epoch): Completion {
  const now = Date.now();
  return failed({
    spec,
    epoch,
    region: "us-east",
    startedAtMs: now,
    finishedAtMs: now,
    code: "audio_corrupt",
  });
}

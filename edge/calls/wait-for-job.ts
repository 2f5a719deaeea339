import { traceOf, type EdgeContext } from "../context.ts";
import { describeError, log } from "../ops/log.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";
import { preferredWait } from "./preferred-wait.ts";

const MAX_WAIT_S = 60;

/** Turns the 202 of an accepted job into what `Prefer: wait=N` asks for: the whole job with 200 when it is final in time, else the 202 as it is. */
export type WaitForJob = (c: EdgeContext, accepted: Response, jobId: string) => Promise<Response>;

export function createWaitForJob({
  config,
  ledger,
  describeJob,
}: Pick<EdgeServices, "config" | "ledger" | "describeJob">): WaitForJob {
  return async (c, accepted, jobId) => {
    const seconds = preferredWait(c.req.header("prefer"), MAX_WAIT_S);
    if (seconds === undefined) return accepted;
    accepted.headers.set("preference-applied", `wait=${seconds}`);
    try {
      const key = { id: jobId, tenant_id: c.get("caller").key.tenant_id };
      const job = await ledger.wait(key, seconds * 1000);
      if (job?.state !== "final") return accepted;
      const whole = await describeJob.whole(job, baseUrl(c, config.publicUrl), traceOf(c));
      return json(whole, 200, Object.fromEntries(accepted.headers));
    } catch (error) {
      // The job is accepted whatever happens here; the client can still ask for it.
      log("warn", "waiting for a job failed", { job_id: jobId, error: describeError(error) });
      return accepted;
    }
  };
}

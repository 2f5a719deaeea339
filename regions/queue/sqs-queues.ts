import { lanes } from "./lanes.ts";
import { createSqsCalls, MOST_BYTES, type SqsOptions } from "./sqs-calls.ts";

/** As long as SQS keeps anything: what nobody fetched for two weeks is gone. */
const KEEP_S = 14 * 24 * 3600;

/**
 * Makes the queues of a region, or finds them made in the same way: one for each lane, one for dead letters, one for what ended. They
 * are encrypted by SQS, and have no redrive policy: that would take jobs away without an end.
 */
export async function createSqsQueues(options: SqsOptions): Promise<void> {
  const calls = createSqsCalls(options);
  const attributes = {
    MessageRetentionPeriod: String(KEEP_S),
    MaximumMessageSize: String(MOST_BYTES),
    SqsManagedSseEnabled: "true",
  };
  try {
    const names = [...lanes.keys()].map((index) => index + 1);
    await Promise.all(
      [...names, "dead" as const, "offers" as const].map((name) => calls.create(name, attributes)),
    );
  } finally {
    calls.close();
  }
}

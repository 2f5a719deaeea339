import { z } from "zod";

/** What `terraform test -json` tells: one object a line; others than these are of no use here. */
const Line = z.union([
  z.object({
    type: z.literal("test_run"),
    test_run: z.object({ run: z.string(), progress: z.string(), status: z.string().optional() }),
  }),
  z.object({
    type: z.literal("diagnostic"),
    "@testrun": z.string().optional(),
    diagnostic: z.object({ severity: z.string(), summary: z.string(), detail: z.string() }),
  }),
]);

export interface TestResults {
  /** Name of each run → pass, fail, error or skip. */
  runs: Map<string, string>;
  /** What failed assertions said. */
  failed: Set<string>;
  /** Runs that expected a refusal and got none. */
  unrefused: Set<string>;
  /** All other errors, each with its run. */
  errors: string[];
}

export function readResults(output: string): TestResults {
  const results: TestResults = {
    runs: new Map(),
    failed: new Set(),
    unrefused: new Set(),
    errors: [],
  };
  for (const text of output.split("\n")) {
    if (!text.startsWith("{")) continue;
    const { data } = Line.safeParse(JSON.parse(text));
    if (data?.type === "test_run") {
      const { run, progress, status } = data.test_run;
      if (progress === "complete" && status !== undefined) results.runs.set(run, status);
    } else if (data?.type === "diagnostic" && data.diagnostic.severity === "error") {
      const { summary, detail } = data.diagnostic;
      const run = data["@testrun"] ?? "";
      if (summary === "Test assertion failed") results.failed.add(detail);
      else if (summary === "Missing expected failure") results.unrefused.add(run);
      else results.errors.push(`${run}: ${summary}: ${detail}`);
    }
  }
  return results;
}

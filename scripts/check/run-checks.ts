import { type Check, type CheckContext, type Finding } from "./check.ts";

/** A check's finding with its name and how long it took, in ms. */
export interface Report extends Finding {
  name: string;
  title: string;
  ms: number;
}

/**
 * Runs `checks`, at most `width` at a time, and reports them in the order given. A check that throws has failed.
 *
 * @param told called once for each check, in order, as soon as it and all before it are done
 */
export async function runChecks(
  checks: Check[],
  context: CheckContext,
  options: { width?: number; told?: (report: Report) => void } = {},
): Promise<Report[]> {
  const { width = 2, told = () => {} } = options;
  const reports: (Report | undefined)[] = checks.map(() => undefined);
  let next = 0;
  let shown = 0;
  const runSome = async (): Promise<void> => {
    for (let index = next++; index < checks.length; index = next++) {
      const check = checks[index];
      if (check === undefined) return;
      reports[index] = await runOne(check, context);
      for (let done = reports[shown]; done !== undefined; done = reports[++shown]) told(done);
    }
  };
  await Promise.all(Array.from({ length: width }, runSome));
  return reports.filter((report) => report !== undefined);
}

async function runOne(check: Check, context: CheckContext): Promise<Report> {
  const started = performance.now();
  let finding: Finding;
  try {
    finding = await check.run(context);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    finding = { ok: false, summary: "could not run", details: message };
  }
  const ms = Math.round(performance.now() - started);
  return { name: check.name, title: check.title, ms, ...finding };
}

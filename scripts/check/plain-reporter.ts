import type { Reporter, SerializedError, TestModule } from "vitest/node";

/** Ends the run with one plain line, `N passed, N failed`. A file that could not be loaded, or an error outside any test, counts as failed. */
export default class PlainReporter implements Reporter {
  onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    unhandled: ReadonlyArray<SerializedError>,
  ): void {
    let passed = 0;
    let failed = unhandled.length;
    for (const module of modules) {
      const before = failed;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") passed++;
        else if (state === "failed") failed++;
      }
      if (failed === before && !module.ok()) failed++;
    }
    process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
  }
}

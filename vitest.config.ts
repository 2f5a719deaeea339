import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// Waits end when what they wait for happens; these limits only end what never will, also on a machine that is busy.
const patience = {
  testTimeout: 60_000,
  hookTimeout: 60_000,
  teardownTimeout: 10_000,
  expect: { poll: { timeout: 20_000, interval: 20 } },
};

/** Of the planet's files those with faults go last: a region that was away has its requests back only after a while. */
class FaultsLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const hasFaults = ({ moduleId }: TestSpecification) =>
      /\/planet\/(faults|drill)\.test\.ts$/.test(moduleId);
    return [...sorted.filter((file) => !hasFaults(file)), ...sorted.filter(hasFaults)];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: FaultsLast },
    reporters: ["default", "./scripts/check/plain-reporter.ts"],
    projects: [
      {
        // Node runs TypeScript itself: child processes and worker threads are started from the same `.ts` files.
        test: {
          name: "node",
          include: ["test/{contract,flow,failure}/**/*.test.ts"],
          pool: "forks",
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          ...patience,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            // Where a client is comes from each test; nothing is asked of the network.
            miniflare: { cf: false },
          }),
        ],
        test: {
          name: "edge",
          include: ["test/edge/**/*.test.ts"],
          setupFiles: ["./test/edge/support/load-worker-once.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...patience,
        },
      },
      {
        // One planet for all of these files, so they run after the others and one at a time.
        test: {
          name: "planet",
          include: ["test/planet/**/*.test.ts"],
          globalSetup: ["test/planet/global-setup.ts"],
          pool: "forks",
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          ...patience,
          testTimeout: 120_000,
        },
      },
    ],
  },
});

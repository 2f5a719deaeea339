import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { analyze } from "../../scripts/cli/analyze.ts";
import { createBatch } from "../../scripts/cli/batches.ts";
import { UsageError } from "../../scripts/cli/connection.ts";

const here = { url: "http://127.0.0.1:9", key: "k" };
const { signal } = new AbortController();

test.each([
  ["analyze", (path: string) => analyze(path, here, signal)],
  ["batches create", (path: string) => createBatch(path, here, signal)],
])("%s says what is wrong with a path that is no file, before anything is sent", async (_, run) => {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-files-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "a.txt"), "a");
  for (const [path, fault] of [
    [folder, "is a folder; name one file in it"],
    [join(folder, "b.txt"), "there is no file at"],
    [join(folder, "a.txt", "b.txt"), "cannot read"],
  ] as const) {
    const failed = run(path);
    await expect(failed).rejects.toThrow(UsageError);
    await expect(failed).rejects.toThrow(fault);
  }
});

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { createBench } from "./bench-of-parts.ts";

const setup = resolve(import.meta.dirname, "../../../scripts/setup");
const run = promisify(execFile);

/** Enters the lock, notes that it is in, stays a moment, notes that it leaves. */
const visitor = `
  const { withLock } = require(${JSON.stringify(join(setup, "with-lock.cjs"))});
  const { appendFileSync } = require("node:fs");
  const [lock, notes] = process.argv.slice(1);
  withLock(lock, () => {}, async () => {
    appendFileSync(notes, "in ");
    await new Promise((resolve) => setTimeout(resolve, 100));
    appendFileSync(notes, "out ");
  });`;

test("set-ups that run at once go one after the other", async () => {
  await using bench = await createBench();
  const [lock, notes] = [join(bench.dir, "state", "lock"), join(bench.dir, "notes")];
  await Promise.all([1, 2, 3].map(() => run(process.execPath, ["-e", visitor, lock, notes])));
  expect(readFileSync(notes, "utf8")).toBe("in out in out in out ");
});

test("a set-up that was killed does not keep the next one out", async () => {
  await using bench = await createBench();
  const [lock, notes] = [join(bench.dir, "state", "lock"), join(bench.dir, "notes")];
  const gone = spawn(process.execPath, ["-e", ""]);
  await once(gone, "exit");
  mkdirSync(lock, { recursive: true });
  writeFileSync(join(lock, "owner"), String(gone.pid));
  await run(process.execPath, ["-e", visitor, lock, notes]);
  expect(readFileSync(notes, "utf8")).toBe("in out ");
});

test("when all is there, set-up needs neither npm nor the network and says nothing", async () => {
  const args = [join(setup, "setup.cjs"), "--packages-only"];
  const env = { PATH: dirname(process.execPath) };
  // The first one may have to see that what somebody else installed is right, and say so.
  await run(process.execPath, args, { env });
  expect(await run(process.execPath, args, { env })).toEqual({ stdout: "", stderr: "" });
});

test("a system without an engine for transcripts is told once, and set-up goes on", async () => {
  await using bench = await createBench();
  const script = `
    const { createPocketsphinx } = require(${JSON.stringify(join(setup, "pocketsphinx.cjs"))});
    const [state] = process.argv.slice(1);
    const part = createPocketsphinx(state);
    const before = part.current();
    part.install({ logFile: state + "/log", quiet: true }).then(() => console.log(before, part.current()));`;
  const { stdout, stderr } = await run(process.execPath, ["-e", script, bench.dir], {
    env: { PATH: "" },
  });
  expect(stdout).toBe("false true\n");
  expect(stderr).toContain("sudo apt-get install pocketsphinx pocketsphinx-en-us");
});

test("a native binding that npm left out without a word is noticed, one for another system is not", async () => {
  await using bench = await createBench();
  type Find = (packages: object, root: string, system: object) => string[];
  const { skippedForThisSystem } = createRequire(import.meta.url)(
    join(setup, "skipped-packages.cjs"),
  ) as { skippedForThisSystem: Find };
  const there = "node_modules/@a/linux-x64-gnu";
  const leftOut = "node_modules/@b/linux-x64-gnu";
  const native = { optional: true, os: ["linux"], cpu: ["x64"], libc: ["glibc"] };
  const packages = {
    "node_modules/plain": {},
    "node_modules/anywhere": { optional: true },
    [there]: native,
    [leftOut]: native,
    "node_modules/@b/linux-x64-musl": { ...native, libc: ["musl"] },
    "node_modules/@b/linux-arm64-gnu": { ...native, cpu: ["arm64"] },
    "node_modules/@b/darwin-x64": { ...native, os: ["darwin"] },
  };
  mkdirSync(join(bench.dir, there), { recursive: true });
  writeFileSync(join(bench.dir, there, "package.json"), "{}");
  const system = { os: "linux", cpu: "x64", libc: "glibc" };
  expect(skippedForThisSystem(packages, bench.dir, system)).toEqual([leftOut]);
});

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const main = fileURLToPath(new URL("../../scripts/soak/main.ts", import.meta.url));
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "antiphon-soak-test-"));
});
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

/** Runs a soak with its files in `scratch`; `onLine` hears each of its lines. */
async function soak(args: string[], onLine: (line: string, end: () => void) => void = () => {}) {
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TMPDIR: scratch },
  });
  const exit = once(child, "exit") as Promise<[number | null]>;
  let last = "";
  for await (const line of createInterface({ input: child.stdout })) {
    last = line;
    onLine(line, () => void child.kill("SIGINT"));
  }
  const [code] = await exit;
  return { code, report: JSON.parse(last) as Record<string, unknown> };
}

/** Processes whose command line names the scratch folder: its Redis is started by a path in it. */
function runningThere(): string[] {
  const lines = execFileSync("ps", ["-A", "-o", "args="], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes(scratch));
}

test("under kills no accepted job is lost, doubled or ended wrongly, and all returns to where it was", async () => {
  const args = ["--minutes", "0.1", "--seed", "5", "--disturb-every", "400", "--json"];
  const { code, report } = await soak(args);
  expect(report).toMatchObject({ soak: "passed", lost: 0, doubled: 0, wrong: 0, left: [] });
  expect(code).toBe(0);
  expect(report["finished"]).toBe(report["accepted"]);
  expect(report["accepted"]).toBeGreaterThan(300);
  const kills = Object.values(report["kills"] as Record<string, number>);
  expect(kills.reduce((sum, times) => sum + times, 0)).toBeGreaterThan(2);
  expect(report["ends"]).toMatchObject({
    succeeded: expect.any(Number) as number,
    canceled: expect.any(Number) as number,
    job_attempts_exhausted: expect.any(Number) as number,
  });
  // The soak has a limit of its own, and tells what was left open by then.
}, 180_000);

test("a soak that is told to stop says so, and leaves no process and no file", async () => {
  let ran: string[] = [];
  const { code, report } = await soak(["--minutes", "0.5"], (line, end) => {
    if (!line.startsWith("warmed up")) return;
    ran = runningThere();
    end();
  });
  expect(ran).not.toEqual([]);
  expect(report).toMatchObject({ soak: "interrupted" });
  expect(code).toBe(130);
  expect(runningThere()).toEqual([]);
  expect(await readdir(scratch)).toEqual([]);
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createPidRegister } from "../../../scripts/planet/pid-register.ts";
import { processStartTime } from "../../../scripts/planet/process-identity.ts";
import { createSupervisor } from "../../../scripts/planet/supervisor.ts";
import { type Bench, createBench } from "./bench-of-parts.ts";

/** A process that says its number when it is up, and sleeps. */
function sleeper(bench: Bench, name: string, script = "") {
  const file = join(bench.dir, `${name}.up`);
  const up = `require("fs").writeFileSync(${JSON.stringify(file)}, String(process.pid));`;
  return {
    name,
    logFile: bench.log(name),
    command: () => ({
      command: process.execPath,
      args: ["-e", `${script};${up} setInterval(() => {}, 1e6)`],
    }),
    ready: async () => existsSync(file),
    backoffMs: 10,
  };
}

test("a process that is killed is started again, and the supervisor says so", async () => {
  await using bench = await createBench();
  const child = await bench.supervisor.start(sleeper(bench, "phoenix"));
  const before = child.pid;
  child.kill("SIGKILL");
  await expect.poll(() => child.state === "ready" && child.pid !== before).toBe(true);
  expect(child.restarts).toBe(1);
  expect(bench.events.map(({ kind }) => kind)).toEqual(["ready", "died", "ready"]);
  expect(bench.events[1]).toMatchObject({ name: "phoenix", how: "was ended by SIGKILL" });
});

test("a process taken down stays down until it is started again", async () => {
  await using bench = await createBench();
  const child = await bench.supervisor.start(sleeper(bench, "sunk"));
  const pid = child.pid ?? 0;
  await child.takeDown();
  expect(processStartTime(pid)).toBeUndefined();
  await sleep(150);
  expect(child.state).toBe("down");
  expect(bench.events.map(({ kind }) => kind)).toEqual(["ready"]);
  const again = await bench.supervisor.start(sleeper(bench, "sunk"));
  expect(again.state).toBe("ready");
});

test("one that ignores SIGTERM is killed after its grace, with what it started", async () => {
  await using bench = await createBench();
  const script = `process.on("SIGTERM", () => {});
    const c = require("child_process").spawn("sleep", ["1000"]);
    console.log("child", c.pid)`;
  const child = await bench.supervisor.start({
    ...sleeper(bench, "stubborn", script),
    graceMs: 100,
  });
  const pid = child.pid ?? 0;
  await expect.poll(() => readFileSync(bench.log("stubborn"), "utf8")).toMatch(/child \d+/);
  const grandchild = Number(/child (\d+)/.exec(readFileSync(bench.log("stubborn"), "utf8"))?.[1]);
  expect(processStartTime(grandchild)).toBeDefined();
  await child.stop();
  expect(processStartTime(pid)).toBeUndefined();
  await expect.poll(() => processStartTime(grandchild)).toBeUndefined();
});

test("one that cannot start is reported with its log, and is not tried for ever", async () => {
  await using bench = await createBench();
  const spec = { ...sleeper(bench, "broken", "process.exit(7)") };
  await expect(bench.supervisor.start(spec)).rejects.toThrow(
    /broken exited with 7; see .*broken\.log/,
  );
  expect(bench.supervisor.status()).toEqual([
    { name: "broken", state: "down", pid: null, restarts: 0 },
  ]);
});

test("the supervisor's own environment does not leak into a process", async () => {
  await using bench = await createBench();
  process.env["ANTIPHON_TEST_LEAK"] = "secret";
  await bench.supervisor.start(sleeper(bench, "clean", `console.log(JSON.stringify(process.env))`));
  delete process.env["ANTIPHON_TEST_LEAK"];
  expect(readFileSync(bench.log("clean"), "utf8")).not.toContain("ANTIPHON_TEST_LEAK");
});

test("what a killed supervisor left running is ended by the next one", async () => {
  await using bench = await createBench();
  const register = createPidRegister(join(bench.dir, "pids"));
  const [marker, value] = register.marker;
  const orphan = spawn("sleep", ["1000"], {
    detached: true,
    stdio: "ignore",
    env: { [marker]: value },
  });
  await once(orphan, "spawn");
  register.add("orphan", orphan.pid ?? 0, "SIGTERM");
  const gone = once(orphan, "exit");
  expect(await createSupervisor({ stateDir: bench.dir }).cleanStale()).toEqual(["orphan"]);
  await gone;
  expect(readdirSync(join(bench.dir, "pids"))).toEqual([]);
});

test("a process that only has the number of a noted one is left alone", async () => {
  await using bench = await createBench();
  const stranger = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" });
  bench.onClose(() => stranger.kill());
  await once(stranger, "spawn");
  const note = { pid: stranger.pid, started: "some other time", signal: "SIGKILL" };
  writeFileSync(join(bench.dir, "pids", "stranger.json"), JSON.stringify(note));
  expect(await bench.supervisor.cleanStale()).toEqual([]);
  expect(processStartTime(stranger.pid ?? 0)).toBeDefined();
});

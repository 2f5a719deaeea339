import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSupervisor, type Supervisor } from "../../../scripts/planet/supervisor.ts";
import type { ProcessEvent } from "../../../scripts/planet/supervised-process.ts";

/** A folder that only this account may enter (as a checkout under /root is), and a supervisor in it. */
export type Bench = {
  readonly dir: string;
  readonly supervisor: Supervisor;
  readonly events: ProcessEvent[];
  log(name: string): string;
  /** Has something undone at the end; the last one first. */
  onClose(undo: () => unknown): void;
  [Symbol.asyncDispose](): Promise<void>;
};

export async function createBench(): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), "antiphon-test-"));
  const events: ProcessEvent[] = [];
  const supervisor = createSupervisor({ stateDir: dir, onEvent: (event) => events.push(event) });
  const undone: (() => unknown)[] = [];
  return {
    dir,
    supervisor,
    events,
    log: (name) => join(dir, "logs", `${name}.log`),
    onClose: (undo) => undone.unshift(undo),
    async [Symbol.asyncDispose]() {
      try {
        for (const undo of undone) await undo();
      } finally {
        await supervisor.stopAll();
        await rm(dir, { recursive: true, force: true });
      }
    },
  };
}

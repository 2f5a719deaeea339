import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { processStartTime } from "./process-identity.ts";

const holder = z.object({ pid: z.number(), started: z.string() });

/** Thrown by `lockPlanet` when a planet runs in that folder already. */
export class PlanetRunsAlready extends Error {
  readonly pid: number;
  constructor(stateDir: string, pid: number) {
    super(`a planet runs in ${stateDir} already (process ${pid})`);
    this.pid = pid;
  }
}

const fileOf = (stateDir: string) => join(stateDir, "planet.lock");

/** The process that runs the planet of a folder, or undefined. */
export function planetHolder(stateDir: string): number | undefined {
  try {
    const { pid, started } = holder.parse(JSON.parse(readFileSync(fileOf(stateDir), "utf8")));
    return processStartTime(pid) === started ? pid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Makes sure that one planet at a time runs in a folder. A lock whose holder died is taken over.
 * @returns what releases it
 * @throws PlanetRunsAlready
 */
export function lockPlanet(stateDir: string): () => void {
  mkdirSync(stateDir, { recursive: true });
  const file = fileOf(stateDir);
  const mine = JSON.stringify({ pid: process.pid, started: processStartTime(process.pid) });
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: "wx", mode: 0o600 });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const pid = planetHolder(stateDir);
    if (pid !== undefined) throw new PlanetRunsAlready(stateDir, pid);
    rmSync(file, { force: true });
  }
}

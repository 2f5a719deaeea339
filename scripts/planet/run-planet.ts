import { appendFileSync, mkdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type Planet, startPlanet } from "./planet.ts";
import { PlanetRunsAlready } from "./planet-lock.ts";
import type { ProcessEvent } from "./supervised-process.ts";

export type RunOptions = { stateDir: string; workers: number; logLevel: string };

/**
 * Boots the planet in the foreground, tells how that goes, and runs it until Ctrl-C, SIGTERM or `npm run planet -- stop`.
 * @returns the exit code
 */
export async function runPlanet({ stateDir, workers, logLevel }: RunOptions): Promise<number> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const log = join(stateDir, "logs", "planet.log");
  const note = (line: string) => {
    mkdirSync(dirname(log), { recursive: true });
    appendFileSync(log, `${new Date().toISOString()} ${line}\n`);
  };

  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort(new Error("interrupted"));
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, interrupt);

  const began = performance.now();
  const since = () => `${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s`;
  let up = false;
  const onEvent = (event: ProcessEvent) => {
    const line =
      event.kind === "died"
        ? `${event.name} ${event.how}; starting it again`
        : event.kind === "stopped"
          ? `${event.name} is stopped: ${event.why}`
          : `${event.name} is ${event.restarts > 0 ? "back" : "up"} (process ${event.pid})`;
    note(line);
    if (up || event.kind !== "ready") say(line);
  };

  let planet: Planet;
  try {
    say("Starting the planet");
    planet = await startPlanet({
      stateDir,
      workersPerRegion: workers,
      logLevel,
      signal: interrupted.signal,
      onProgress: ({ step, state }) => state === "done" && say(`  ${since()}  ${step}`),
      onEvent,
    });
  } catch (error) {
    if (interrupted.signal.aborted) {
      say("Interrupted: everything that was started is stopped.");
      return 0;
    }
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof PlanetRunsAlready) {
      process.stderr.write(
        `${message}. See \`npm run planet -- status\`, or stop it with \`npm run planet -- stop\`.\n`,
      );
    } else {
      note(error instanceof Error ? (error.stack ?? message) : message);
      process.stderr.write(`The planet could not start: ${message}${reason(error)}\n`);
    }
    return 1;
  }
  up = true;
  say(welcome(planet, since().trim()));

  await Promise.race([
    planet.stopped,
    new Promise((resolve) => onAbort(interrupted.signal, resolve)),
  ]);
  up = false;
  say("\nStopping the planet …");
  await planet.stop();
  say("Stopped. Its data is kept; `npm start` takes it up again.");
  return 0;
}

function onAbort(signal: AbortSignal, then: (value?: unknown) => void): void {
  if (signal.aborted) then();
  else signal.addEventListener("abort", then, { once: true });
}

function reason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error ? `\n  (last: ${cause.message})` : "";
}

function welcome({ urls, keys, stateDir, control }: Planet, took: string): string {
  const regions = Object.entries(urls.regions).map(
    ([id, { api, objects }]) => `  ${id.padEnd(10)} API ${api}   objects ${objects}`,
  );
  return `
The planet is up (${took}).

  API        ${urls.edge}   (described at ${urls.edge}/docs)
  API key    ${keys.demo}
  operator   ${keys.operator}
${regions.join("\n")}
  control    ${control.url}
  logs       ${join(relative(process.cwd(), stateDir) || stateDir, "logs")}   (npm run planet -- logs edge -f)

A first analysis, in another terminal:

  npm run antiphon -- analyze

Ctrl-C stops everything; the data is kept.`;
}

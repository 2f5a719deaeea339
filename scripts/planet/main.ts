import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { askPlanet } from "./control-client.ts";
import type { LinkChange } from "./control-server.ts";
import type { PlanetStatus } from "./planet-controls.ts";
import { planetHolder } from "./planet-lock.ts";
import { runPlanet } from "./run-planet.ts";
import { waitFor } from "./wait-for.ts";
import { logNames, showLogs } from "./show-logs.ts";
import { showStatus } from "./show-status.ts";

/* `npm start` and `npm run planet -- …`: boots, shows, disturbs and stops the planet on this machine. */

const defaultState =
  process.env["ANTIPHON_STATE_DIR"] ?? join(import.meta.dirname, "../../.antiphon");
const say = (text: string) => process.stdout.write(`${text}\n`);

// `… | head` is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 1_000_000) {
    throw new InvalidArgumentError("a whole number, please");
  }
  return value;
}

const program = new Command("planet")
  .description("The planet on this machine: every region, the edge, and the links between them.")
  .option("--state <folder>", "where it keeps its data, logs and secrets", defaultState)
  .showHelpAfterError();
const stateDir = () => program.opts<{ state: string }>().state;
const change = async (match: string, what: LinkChange["change"]) => {
  const links = (await askPlanet(stateDir(), "POST", "/links", {
    match,
    change: what,
  })) as PlanetStatus["links"];
  for (const { name, state, rttMs } of links) say(`${name}  ${state}  ${rttMs} ms`);
};

program
  .command("start")
  .description("boot it, and run it until Ctrl-C")
  .option("--workers <count>", "worker processes in each region", wholeNumber, 1)
  .option("--log-level <level>", "of the regions' services", "info")
  .action(async ({ workers, logLevel }: { workers: number; logLevel: string }) => {
    process.exitCode = await runPlanet({ stateDir: stateDir(), workers, logLevel });
  });

program
  .command("status")
  .description("what runs, and which links are disturbed")
  .option("--json", "as JSON")
  .action(async ({ json }: { json?: boolean }) => {
    const status = (await askPlanet(stateDir(), "GET", "/status")) as PlanetStatus;
    say(json === true ? JSON.stringify(status, undefined, 2) : showStatus(status));
  });

program
  .command("logs [name...]")
  .description("the last lines of logs; all of them, or those named")
  .option("-f, --follow", "go on with what comes")
  .option("-n, --lines <count>", "how many lines of each", wholeNumber, 20)
  .action(
    async (asked: string[], { follow = false, lines }: { follow?: boolean; lines: number }) => {
      const known = logNames(stateDir());
      const unknown = asked.filter((name) => !known.includes(name));
      if (unknown.length > 0) {
        throw new Error(
          `no log named ${unknown.join(", ")}; there are: ${known.join(", ") || "none"}`,
        );
      }
      const stop = new AbortController();
      for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
      const write = (text: string) => void process.stdout.write(text);
      const names = asked.length > 0 ? asked : known;
      if (names.length > 0)
        await showLogs(stateDir(), names, { lines, follow, signal: stop.signal, write });
    },
  );

program
  .command("stop")
  .description("stop it, and wait until it has; its data is kept")
  .action(async () => {
    await askPlanet(stateDir(), "POST", "/stop").catch((error: unknown) => {
      // While it is starting nobody listens yet, but it heeds the signal.
      const pid = planetHolder(stateDir());
      if (pid === undefined) throw error;
      process.kill(pid, "SIGTERM");
    });
    say("It is stopping.");
    await waitFor(() => planetHolder(stateDir()) === undefined, {
      what: "the planet to have stopped",
      timeoutMs: 120_000,
      everyMs: 200,
    });
    say("Stopped.");
  });

program
  .command("down <region>")
  .description("kill everything of a region at once, and keep it down")
  .action(async (region: string) => {
    await askPlanet(stateDir(), "POST", `/regions/${encodeURIComponent(region)}/down`);
    say(`${region} is down.`);
  });

program
  .command("up <region>")
  .description("bring a region back")
  .action(async (region: string) => {
    await askPlanet(stateDir(), "POST", `/regions/${encodeURIComponent(region)}/up`);
    say(`${region} is up.`);
  });

program
  .command("kill <process>")
  .description("send a process a signal, as a fault would come; the supervisor will notice")
  .option("--signal <name>", "SIGKILL, SIGTERM, SIGSTOP or SIGCONT", "SIGKILL")
  .action(async (name: string, { signal }: { signal: string }) => {
    await askPlanet(stateDir(), "POST", `/processes/${encodeURIComponent(name)}/kill`, { signal });
    say(`${name} was sent ${signal}.`);
  });

const link = program
  .command("link")
  .description(
    'disturb links: one by its name ("us-east->eu-west:postgres"), or all at one end ("eu-west", "edge")',
  );
link
  .command("cut <match>")
  .option("--reset", "break connections at once, instead of letting them hang")
  .action((match: string, { reset }: { reset?: boolean }) =>
    change(match, { kind: "cut", how: reset === true ? "reset" : "blackhole" }),
  );
link
  .command("slow <match> <milliseconds>")
  .description("add to the round trip")
  .action((match: string, ms: string) =>
    change(match, { kind: "slow", extra_ms: wholeNumber(ms) }),
  );
link.command("restore <match>").action((match: string) => change(match, { kind: "restore" }));

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

import { Argument, Command } from "commander";
import { AntiphonError } from "../../shared/client/errors.ts";
import { regions } from "../../shared/contracts/regions.ts";
import { connect, UsageError, type ConnectionOptions } from "../cli/connection.ts";
import { promoteRegion } from "./promote-region.ts";
import { showPrimary } from "./show-primary.ts";

/* `npm run failover -- …`: which region has the Postgres primary, and moving it. */

const program = new Command("failover").description(
  "The Postgres primary: where it is, who could take over, and promoting another region.",
);
const say = (line: string) => void process.stdout.write(`${line}\n`);
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stop.abort(new Error(`told to stop by ${signal}`)));
}
const connected = (command: Command) =>
  command
    .option("--url <url>", "the API (default: ANTIPHON_URL, or the local planet)")
    .option("--key <key>", "an operator's key (default: ANTIPHON_API_KEY, or the local planet's)")
    .option("--json", "print only one JSON object", false);

interface Options extends ConnectionOptions {
  json: boolean;
}

connected(program.command("status"))
  .description("the lease, each region's place in the log, and why a region could not take over")
  .action(async (options: Options) => {
    const client = await connect(options, "operator");
    const status = await client.admin.getPrimary();
    say(options.json ? JSON.stringify(status) : showPrimary(status));
  });

connected(program.command("promote"))
  .description("hand the primary to a region; with the old one lost, once its lease has ended")
  .addArgument(new Argument("<region>").choices(regions.map(({ id }) => id)))
  .action(async (region: string, options: Options) => {
    const client = await connect(options, "operator");
    const promoted = await promoteRegion(client, region, {
      signal: stop.signal,
      say: (line) => void (options.json || say(line)),
    });
    if (options.json) say(JSON.stringify(promoted));
    if (!promoted.promoted) process.exitCode = 1;
  });

await program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof AntiphonError) process.stderr.write(`  ${error.problem.request_id}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});

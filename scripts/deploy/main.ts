import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import { edgeInputs, type EdgeOutputs } from "./edge-inputs.ts";
import { estimateCost, priceOfJobs } from "./estimate-cost.ts";
import { makeSecrets } from "./make-secrets.ts";
import { planStage, type Target } from "./plan-stage.ts";
import { promotionSteps } from "./promotion-steps.ts";
import { runStage } from "./run-stage.ts";
import { Facts, readDeployment } from "./settings.ts";
import { positiveNumber } from "../positive-number.ts";

const root = resolve(import.meta.dirname, "../..");
const say = (line = "") => void process.stdout.write(`${line}\n`);
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());

const program = new Command("deploy")
  .description("Stands Antiphon up on AWS and Cloudflare, a stage at a time: see README, Deploy.")
  .option("--settings <folder>", "deployment.json, secrets.json, facts/ and state/", "deployment");
const folder = () => resolve(program.opts<{ settings: string }>().settings);

interface StageOptions {
  plan?: boolean;
  apply?: boolean;
  rebuildDatabase?: boolean;
}

function stageCommand(name: string, about: string): Command {
  return program
    .command(name)
    .description(about)
    .option("--plan", "show what would be changed")
    .option("--apply", "change it");
}

stageCommand("state <region>", "the bucket that a region's state lies in").action(
  (region: string, options: StageOptions) => run({ stage: "state", region }, options),
);
stageCommand("global", "what all regions share: image registry, budget").action(
  (options: StageOptions) => run({ stage: "global" }, options),
);
stageCommand("region <region>", "all of a region")
  .option("--rebuild-database", "make its Postgres anew, as a replica; see promote")
  .action((region: string, options: StageOptions) => run({ stage: "region", region }, options));
stageCommand("edge", "the edge's users, and what wrangler needs").action((options: StageOptions) =>
  run({ stage: "edge" }, options),
);

program
  .command("secrets")
  .description("make secrets.json, or what it lacks of regions that were added")
  .action(async () => {
    const { settings, secrets, missing } = await readDeployment(folder());
    const path = join(folder(), "secrets.json");
    const broken = existsSync(path) && !secrets;
    if (!settings || broken) {
      return refuse(missing.filter((line) => broken || !line.includes("secrets.json")));
    }
    const made = makeSecrets(Object.keys(settings.regions), secrets);
    await writeFile(path, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600 });
    say(`wrote ${path}: keep it where you keep secrets, and out of git`);
  });

program
  .command("promote <region>")
  .description("print the steps that make a region's Postgres the primary, and rebuild the others")
  .action(async (region: string) => {
    for (const line of promotionSteps(region, await readDeployment(folder()))) say(line);
  });

program
  .command("cost")
  .description("what a month costs, by the price table that jobs are priced by")
  .option("--requests <n>", "a day", positiveNumber, 100)
  .option("--seconds <n>", "of compute each", positiveNumber, 6)
  .option("--megabytes <n>", "of audio each", positiveNumber, 2)
  .option("--json", "print only one JSON object", false)
  .action(
    async (options: Record<"requests" | "seconds" | "megabytes", number> & { json: boolean }) => {
      const { settings, missing } = await readDeployment(folder());
      if (!settings) return refuse(missing);
      const load = {
        requestsPerDay: options.requests,
        secondsEach: options.seconds,
        megabytesEach: options.megabytes,
      };
      const items = estimateCost(settings, load);
      const usd = Math.round(items.reduce((total, item) => total + item.usd, 0));
      const jobs_usd = Math.round(priceOfJobs(load));
      if (!options.json) {
        for (const item of items) {
          say(`${item.region.padEnd(10)} ${item.usd.toFixed(0).padStart(6)} $  ${item.what}`);
        }
        say(
          `${"a month".padEnd(10)} ${String(usd).padStart(6)} $  at ${options.requests} requests a day, whose jobs are priced at ${jobs_usd} $`,
        );
      }
      say(JSON.stringify({ cost: "month", usd, jobs_usd, ...load }));
    },
  );

async function run(target: Target, options: StageOptions): Promise<void> {
  if (Boolean(options.plan) === Boolean(options.apply)) {
    return refuse(["say either --plan or --apply"]);
  }
  const deployment = await readDeployment(folder());
  const plan = planStage(target, deployment);
  if ("missing" in plan) return refuse(plan.missing);
  const isPrimary = target.stage === "region" && target.region === deployment.settings?.primary;
  if (options.rebuildDatabase && isPrimary) {
    return refuse(["--rebuild-database would delete the primary"]);
  }
  const { stage } = plan;
  say(`${options.apply ? "applying" : "planning"} ${stage} (${plan.name})`);
  const outputs = await runStage(plan, {
    root,
    folder: folder(),
    apply: options.apply === true,
    forget: options.rebuildDatabase ? ["module.database.aws_db_instance.this"] : [],
    environment: process.env,
    signal: stop.signal,
  });
  if (outputs === undefined) return;
  if (target.stage === "region") await keepFacts(target.region, outputs);
  if (target.stage === "edge") await tellEdge(outputs);
}

async function keepFacts(region: string, outputs: unknown): Promise<void> {
  const { facts } = z.object({ facts: z.object({ value: Facts }) }).parse(outputs);
  const path = join(folder(), "facts", `${region}.json`);
  await mkdir(join(folder(), "facts"), { recursive: true });
  await writeFile(path, `${JSON.stringify(facts.value, null, 2)}\n`);
  const { settings } = await readDeployment(folder());
  say(`\nwrote ${path}: other regions and the edge are applied by it`);
  say(
    `DNS: ${settings?.regions[region]?.host} is a CNAME of ${facts.value.balancer_host}, proxied by Cloudflare`,
  );
  const others = Object.keys(settings?.regions ?? {}).filter((id) => id !== region);
  if (others.length > 0)
    say(`then: apply ${others.join(", ")} (again), which link and replicate to it`);
  say("then: npm run deploy -- edge --apply");
}

/** Writes what `wrangler secret bulk` reads, where every region's access key is there; else says how to make them. */
async function tellEdge(outputs: unknown): Promise<void> {
  const of = outputs as {
    endpoints: { value: EdgeOutputs["endpoints"] };
    users: { value: EdgeOutputs["users"] };
  };
  const { secrets, settings } = await readDeployment(folder());
  if (!secrets) return refuse([join(folder(), "secrets.json")]);
  const keysPath = join(folder(), "access-keys.json");
  const AccessKeys = z.record(
    z.string(),
    z.strictObject({ access_key_id: z.string(), secret_access_key: z.string() }),
  );
  const keys = existsSync(keysPath)
    ? AccessKeys.parse(JSON.parse(await readFile(keysPath, "utf8")))
    : {};
  const inputs = edgeInputs(
    { endpoints: of.endpoints.value, users: of.users.value },
    secrets,
    keys,
  );
  if (inputs.missing.length > 0) {
    return refuse([
      ...inputs.missing,
      `then put them into ${keysPath}: {"REGION": {"access_key_id": …, "secret_access_key": …}}, and apply edge again`,
    ]);
  }
  const path = join(folder(), "edge-secrets.json");
  await writeFile(path, JSON.stringify(inputs.secrets), { mode: 0o600 });
  say(`\nnpx wrangler secret bulk ${path}   # ${Object.keys(inputs.secrets).join(", ")}`);
  say(`npx wrangler deploy --var PUBLIC_URL:${settings?.edge_url}`);
}

function refuse(missing: string[]): void {
  process.exitCode = 1;
  say("not begun; what is missing:");
  for (const line of missing) say(`  ${line}`);
}

await program.parseAsync();

import { join } from "node:path";
import { Command } from "commander";
import { loadManifest, ManifestError } from "../../regions/speech/models/load-manifest.ts";
import { modelTasks } from "../../regions/speech/models/model-entry.ts";
import type { ModelEntry } from "../../regions/speech/models/model-entry.ts";
import { defaultModelsFolder, installCommand } from "../../regions/speech/models/models-folder.ts";
import { addModel } from "./add-model.ts";
import { createDownloadProgress } from "./create-download-progress.ts";
import { createHashMemory } from "./hash-memory.ts";
import { listModels, toJson, toTable } from "./list-models.ts";
import { PullError } from "./pull-error.ts";
import { pinModel } from "./pin-model.ts";
import { pullModel } from "./pull-model.ts";

/* `npm run models -- …`: which models there are, fetching them, and checking that they are what they were. */

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());

// `… | head` is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

class UsageError extends Error {}

const program = new Command("models")
  .description("The models that the stages of speech run on.")
  .option("--manifest <file>", "your own models, before those that ship (ANTIPHON_MODELS_MANIFEST)")
  .option("--folder <folder>", "where models are installed (ANTIPHON_MODELS_DIR)")
  .showHelpAfterError();

function places() {
  const given = program.opts<{ manifest?: string; folder?: string }>();
  const { env } = process;
  const folder = given.folder ?? (env["ANTIPHON_MODELS_DIR"] || defaultModelsFolder);
  const own = given.manifest ?? (env["ANTIPHON_MODELS_MANIFEST"] || undefined);
  return { folder, own };
}

function settings() {
  const { folder, own } = places();
  const manifest = loadManifest(own, folder);
  return { folder, manifest, memory: createHashMemory(join(folder, ".hashes.json")) };
}

function findEntry(models: readonly ModelEntry[], name: string): ModelEntry {
  const entry = models.find((model) => model.name === name);
  if (entry !== undefined) return entry;
  const known = models.map((model) => model.name).join(", ");
  throw new UsageError(`There is no model ${name}; there are: ${known}.`);
}

/** Runs a command and sets the exit code: 0 done, 1 it failed or a model is damaged, 2 wrong usage, 130 interrupted. */
async function run(command: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    if (stop.signal.aborted) {
      process.exitCode = 130;
      process.stderr.write(
        "interrupted; what a pull has fetched is kept, the next goes on with it\n",
      );
    } else if (error instanceof UsageError || error instanceof ManifestError) {
      process.exitCode = 2;
      process.stderr.write(`${error.message}\n`);
    } else if (error instanceof PullError || isOfTheSystem(error)) {
      process.exitCode = 1;
      process.stderr.write(`${error.message}\n`);
    } else throw error;
  }
}

/** A disk that is read-only, a folder that is not ours: told in the system's words, without a trace. */
function isOfTheSystem(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error;
}

program
  .command("list")
  .description("every model, its licence, and whether it is here")
  .option("--json", "as one JSON object, on the last line", false)
  .action(({ json }: { json: boolean }) =>
    run(async () => {
      const { manifest, folder, memory } = settings();
      const hash = (path: string) => memory.hash(path, { signal: stop.signal });
      const models = await listModels(manifest, folder, hash);
      await memory.save();
      console.log(json ? JSON.stringify(toJson(models, folder)) : toTable(models));
      return 0;
    }),
  );

program
  .command("pull")
  .description("fetch a model, check it, install it; goes on with what an earlier pull left")
  .argument("<name>")
  .action((name: string) =>
    run(async () => {
      const { manifest, folder } = settings();
      const listed = findEntry(manifest.models, name);
      const unusable = manifest.unusable?.get(name);
      if (unusable !== undefined) throw new PullError(unusable);
      const hub = { ...hubOptions(), folder, onTrouble: sayTrouble };
      const found = await pinModel(listed, hub);
      const { entry } = found;
      const progress = createDownloadProgress(entry.files);
      try {
        const { installed, folder: at } = await pullModel(entry, {
          ...hub,
          contents: found.contents,
          onBytes: progress.onBytes,
          onTrouble: progress.onTrouble,
        });
        await found.keep();
        if (found.revision !== undefined) {
          console.log(`From now on ${name} is held to the commit ${found.revision.commit}.`);
        }
        console.log(
          `${entry.name} ${entry.version} ${installed ? "is installed" : "is here already"}: ${at}`,
        );
        if (entry.unverified !== undefined) console.log(entry.unverified);
        if (!entry.commercial_use) {
          console.log(`Its licence, ${entry.licence}, does not permit commercial use.`);
        }
        return 0;
      } finally {
        progress.end();
      }
    }),
  );

program
  .command("verify")
  .description("read every installed model, or one, and compare it with its hashes")
  .argument("[name]")
  .action((name: string | undefined) =>
    run(async () => {
      const { manifest, folder, memory } = settings();
      const entries = name === undefined ? manifest.models : [findEntry(manifest.models, name)];
      const hash = (path: string) => memory.hash(path, { fresh: true, signal: stop.signal });
      let failed = false;
      for (const { entry, state, faults } of await listModels(
        { ...manifest, models: entries },
        folder,
        hash,
      )) {
        console.log(`${entry.name} ${entry.version}: ${state}`);
        for (const { path, fault } of faults) console.log(`  ${path} ${fault}`);
        if (state === "ready" || (state === "not installed" && name === undefined)) continue;
        failed = true;
        if (manifest.unusable?.has(entry.name) === true) continue;
        console.log(
          `  ${state === "damaged" ? "To mend it" : "To install it"}: ${installCommand(entry)}`,
        );
      }
      await memory.save();
      return failed ? 1 : 0;
    }),
  );

program
  .command("add")
  .description("write a model of the hub into your own manifest, with its commit and hashes")
  .argument("<repo@revision>", "OWNER/NAME@main, or another branch, tag or commit")
  .requiredOption("--task <task>", modelTasks.join(", "))
  .requiredOption("--name <name>", "what to call it here")
  .requiredOption("--file <path...>", "its files; the first is the graph that is run")
  .option("--licence <id>", "SPDX name; the model card's when absent")
  .option("--commercial-use", "the licence given lets one earn money")
  .option("--memory <mb>", "memory of a loaded copy", Number)
  .action((address: string, given: AddArguments) =>
    run(async () => {
      const { folder, own } = places();
      if (own === undefined) {
        throw new UsageError("Say which manifest: --manifest FILE or ANTIPHON_MODELS_MANIFEST.");
      }
      const [, repo, revision] = /^([^@]+)@([^@]+)$/.exec(address) ?? [];
      if (repo === undefined || revision === undefined) {
        throw new UsageError(`${address} is not OWNER/NAME@REVISION.`);
      }
      const added = await addModel(
        {
          repo,
          revision,
          task: given.task,
          name: given.name,
          files: given.file,
          licence: given.licence,
          commercialUse: given.commercialUse,
          memoryMb: given.memory,
        },
        { ...hubOptions(), folder, manifest: own, onTrouble: sayTrouble },
      );
      console.log(
        `${added.name} ${added.version} is in ${own}: ${added.licence}, commercial use: ${added.commercial_use ? "yes" : "no"}.`,
      );
      console.log(`To install it: ${installCommand(added)}`);
      return 0;
    }),
  );

interface AddArguments {
  task: string;
  name: string;
  file: string[];
  licence?: string;
  commercialUse?: boolean;
  memory?: number;
}

function hubOptions() {
  return {
    endpoint: readEndpoint(process.env["HF_ENDPOINT"]),
    token: readToken(process.env["HF_TOKEN"]),
    signal: stop.signal,
  };
}

function sayTrouble(message: string, waitMs: number): void {
  process.stderr.write(`${message}; again in ${Math.ceil(waitMs / 1000)} s\n`);
}

/** Address of the hub. */
function readEndpoint(text: string | undefined): URL {
  const address = text === undefined || text === "" ? "https://huggingface.co" : text;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || url.search !== "" || url.hash !== "") {
    throw new UsageError(
      "HF_ENDPOINT is not the address of a hub, such as https://huggingface.co.",
    );
  }
  return url;
}

/** A token that can be sent as it is; an error about one that cannot would print it. */
function readToken(text: string | undefined): string | undefined {
  const token = text?.trim();
  if (token === undefined || token === "") return undefined;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new UsageError("HF_TOKEN holds characters that no token has.");
  }
  return token;
}

await program.parseAsync();

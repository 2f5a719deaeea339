import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { UnavailablePart } from "../../../../shared/contracts/analysis-result.ts";

/** The program and the files of its model. */
export interface Pocketsphinx {
  program: string;
  /** Folder of the acoustic model. */
  acoustic: string;
  language: string;
  dictionary: string;
}

export interface FindOptions {
  /** Folders of programs, as in PATH. */
  searchPath: string;
  /** Folders that may hold the model; those of Debian's package and of a build from source when absent. */
  modelFolders?: readonly string[];
}

const PROGRAM = "pocketsphinx_batch";
const INSTALL = "apt-get install pocketsphinx pocketsphinx-en-us";
const MODEL_FOLDERS = [
  "/usr/share/pocketsphinx/model/en-us",
  "/usr/local/share/pocketsphinx/model/en-us",
];

/** Where PocketSphinx and its model of US English are on this machine, or that they are not. */
export function findPocketsphinx(options: FindOptions): Pocketsphinx | UnavailablePart {
  const { searchPath, modelFolders = MODEL_FOLDERS } = options;
  const program = searchPath
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, PROGRAM))
    .find(isExecutable);
  if (program === undefined) return unavailable("No engine for transcripts is installed.");
  const found = modelFolders
    .map((folder) => ({
      program,
      acoustic: join(folder, "en-us"),
      language: join(folder, "en-us.lm.bin"),
      dictionary: join(folder, "cmudict-en-us.dict"),
    }))
    .find((files) => Object.values(files).every((file) => existsSync(file)));
  return found ?? unavailable("PocketSphinx is installed, but not its model of US English.");
}

function unavailable(reason: string): UnavailablePart {
  return { status: "unavailable", reason, install: INSTALL };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

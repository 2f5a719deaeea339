import { createHash } from "node:crypto";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { isPinned } from "../../regions/speech/models/model-entry.ts";
import type {
  ModelEntry,
  PinnedFile,
  PinnedModel,
} from "../../regions/speech/models/model-entry.ts";
import { pinsFile } from "../../regions/speech/models/model-pins.ts";
import type { ModelPins } from "../../regions/speech/models/model-pins.ts";
import { askHub } from "./ask-hub.ts";
import type { HubFile, HubRevision } from "./ask-hub.ts";
import { fetchSmall } from "./fetch-small.ts";
import type { FetchOptions } from "./fetch-small.ts";
import { PullError } from "./pull-error.ts";
import { addressOf, waysOut } from "./pull-model.ts";

export interface PinOptions extends FetchOptions {
  /** Where models are installed. */
  folder: string;
  /** The hub, or a mirror of it. */
  endpoint: URL;
}

export interface FoundModel {
  entry: PinnedModel;
  /** Files that had to be read to know their hash, by path. */
  contents: ReadonlyMap<string, Uint8Array>;
  /** Asked of the hub; undefined where the manifest, or a pull before, knew all. */
  revision: HubRevision | undefined;
  /** Keeps what was found, so that every later use is held to it. To be called when every file has been checked. */
  keep(): Promise<void>;
}

/** Git holds no larger files on the hub; what is larger has its hash there. */
const LARGEST_IN_GIT = 16 * 1024 * 1024;

/**
 * Finds the commit, lengths and hashes of a model that its manifest leaves to the first pull. The hub publishes the SHA-256 of
 * each large file; a small one is read and compared with its hash in git, which names the commit's content as well.
 *
 * @throws {PullError}
 * @throws the signal's reason
 */
export async function pinModel(entry: ModelEntry, options: PinOptions): Promise<FoundModel> {
  if (isPinned(entry)) {
    return { entry, contents: new Map(), revision: undefined, keep: async () => undefined };
  }
  const { source } = entry;
  if (source.type !== "huggingface") throw new TypeError("Only the hub can be asked.");
  const revision = await askHub(source.repo, source.revision, options).catch((error: unknown) => {
    if (!(error instanceof PullError && error.unreachable)) throw error;
    throw new PullError(`${error.message}\n${waysOut(entry, options.folder)}`);
  });
  const { commit } = revision;
  const at = { source: { ...source, revision: commit } };
  const contents = new Map<string, Uint8Array>();
  const files: PinnedFile[] = [];
  for (const file of entry.files) {
    const found = revision.files.get(file.path);
    if (found === undefined) {
      throw new PullError(`${source.repo} has no ${file.path} at ${source.revision} (${commit}).`);
    }
    const { bytes } = found;
    if (bytes === 0) throw new PullError(`${file.path} of ${source.repo} is empty.`);
    const address = addressOf(at, file, options.endpoint);
    const sha256 = found.sha256 ?? (await readSmall(address, file.path, found));
    if (file.sha256 !== undefined && (file.sha256 !== sha256 || file.bytes !== bytes)) {
      throw new PullError(`${file.path} of ${source.repo} is no longer what the manifest says.`);
    }
    files.push({ ...file, bytes, sha256 });
  }

  async function readSmall(address: URL, path: string, found: HubFile): Promise<string> {
    if (found.bytes > LARGEST_IN_GIT || found.gitOid === undefined) {
      throw new PullError(`The hub gives no hash of ${path} of ${entry.name}.`);
    }
    const content = await fetchSmall(address, found.bytes, options);
    if (gitOidOf(content) !== found.gitOid) {
      throw new PullError(
        `${address.host}${address.pathname} is not what the hub lists for the commit ${commit}. It was not installed.`,
      );
    }
    contents.set(path, content);
    return createHash("sha256").update(content).digest("hex");
  }

  const pins: ModelPins = {
    repo: source.repo,
    revision: source.revision,
    commit,
    pinned_at: new Date().toISOString(),
    files: files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })),
  };
  return {
    entry: { ...entry, ...at, files, pinned_at: pins.pinned_at },
    contents,
    revision,
    keep: () => writeWhole(pinsFile(entry, options.folder), pins),
  };
}

/** Git's name of a content: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects */
function gitOidOf(content: Uint8Array): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

/** A file that is there in full or not at all, also after a power cut. */
export async function writeWhole(file: string, value: unknown): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const fresh = `${file}.${process.pid}`;
  const handle = await open(fresh, "w");
  try {
    await handle.writeFile(`${JSON.stringify(value, undefined, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, file);
}

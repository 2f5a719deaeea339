import { execFileSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Command } from "./supervised-process.ts";
import { findProgram } from "./with-parent-death.ts";

/**
 * The account that Postgres runs as. Postgres refuses to run as root, so for root it is an unprivileged one;
 * which then must still reach binaries and data, that may lie below a folder that only root may enter.
 */
export type PostgresAccount = {
  /** A data folder that the account can reach: `dir` itself, save where there is no way to let it in. */
  placeOf(dir: string): string;
  /** Gives a folder and all in it to the account. */
  own(path: string): void;
  /** How to run a Postgres binary on a data folder under the account. */
  plan(binary: "initdb" | "postgres", dir: string, args: string[]): Command;
};

/**
 * @param native the folder with bin, lib and share of the platform's Postgres
 */
export function postgresAccount(native: string): PostgresAccount {
  const bin = (home: string, binary: string) => join(home, "bin", binary);
  if (process.getuid?.() !== 0) {
    return {
      placeOf: (dir) => dir,
      own: () => undefined,
      plan: (binary, _dir, args) => ({ command: bin(native, binary), args }),
    };
  }

  const { uid, gid } = unprivileged();
  const setpriv = process.platform === "linux" ? findProgram("setpriv") : undefined;
  const capability = setpriv === undefined ? undefined : passCapability(native);

  function elsewhere(path: string): string {
    const key = createHash("sha256").update(path).digest("hex").slice(0, 16);
    const parent = join(tmpdir(), `antiphon-${key}`);
    mkdirSync(parent, { recursive: true, mode: 0o711 });
    const { uid: owner } = lstatSync(parent);
    if (owner !== 0 || !lstatSync(parent).isDirectory()) {
      throw new Error(`${parent} belongs to somebody else`);
    }
    chmodSync(parent, 0o711);
    return join(parent, "files");
  }
  /** The binaries where the account can run them; a copy is made once for each version of them. */
  function copyOfBinaries(): string {
    const { mtimeMs, size } = statSync(bin(native, "postgres"));
    const copy = elsewhere(`${native} ${mtimeMs} ${size}`);
    if (existsSync(copy)) return copy;
    const fresh = `${copy}.${randomUUID()}`;
    cpSync(native, fresh, { recursive: true, verbatimSymlinks: true });
    execFileSync("chmod", ["-R", "a+rX", fresh]);
    renameSync(fresh, copy);
    return copy;
  }
  const runsInPlace = capability !== undefined || isRunnable(bin(native, "postgres"));
  const home = runsInPlace ? native : copyOfBinaries();

  return {
    placeOf: (dir) => (capability !== undefined || isReachable(dir) ? dir : elsewhere(dir)),
    own(path) {
      lchownSync(path, uid, gid);
      if (!lstatSync(path).isDirectory()) return;
      for (const entry of readdirSync(path, { recursive: true, encoding: "utf8" })) {
        lchownSync(join(path, entry), uid, gid);
      }
    },
    plan(binary, dir, args) {
      const command = bin(home, binary);
      if (setpriv === undefined) return { command, args, uid, gid };
      const closed = !isRunnable(command) || !isReachable(dir);
      const caps = closed && capability !== undefined ? [`+${capability}`] : [];
      return {
        command: setpriv,
        args: [
          `--reuid=${uid}`,
          `--regid=${gid}`,
          "--clear-groups",
          // Without the secure bit access(2) disregards capabilities, and Postgres asks it for its own binaries.
          ...caps.flatMap((cap) => [
            `--inh-caps=${cap}`,
            `--ambient-caps=${cap}`,
            "--securebits=+no_setuid_fixup",
          ]),
          "--",
          command,
          ...args,
        ],
      };
    },
  };
}

function unprivileged(): { uid: number; gid: number } {
  const id = (flag: string, name: string) =>
    Number(
      execFileSync("id", [flag, name], { stdio: ["ignore", "pipe", "ignore"], encoding: "utf8" }),
    );
  for (const name of ["postgres", "_postgres", "nobody"]) {
    try {
      return { uid: id("-u", name), gid: id("-g", name) };
    } catch {
      // No such account here.
    }
  }
  throw new Error(
    "Postgres does not run as root, and there is no account `postgres` or `nobody` to run it as",
  );
}

// Bits of linux/capability.h.
const DAC_OVERRIDE = 1n;
const DAC_READ_SEARCH = 2n;
const SETPCAP = 8n;

/**
 * The one capability that lets the account pass closed folders, the lesser one where it is enough and can be had
 * (containers often have only the greater).
 */
function passCapability(native: string): string | undefined {
  const status = readFileSync("/proc/self/status", "utf8");
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const has = (bit: bigint) => ((held >> bit) & 1n) === 1n;
  if (!has(SETPCAP)) return undefined;
  // Reading and searching is not executing: installed under a umask of 077 the binary is root's alone to run.
  const executable = (statSync(join(native, "bin", "postgres")).mode & 0o005) === 0o005;
  if (executable && has(DAC_READ_SEARCH)) return "dac_read_search";
  return has(DAC_OVERRIDE) ? "dac_override" : undefined;
}

/** Whether any account may run the program at `path`. */
const isRunnable = (path: string) => isReachable(path) && (statSync(path).mode & 0o005) === 0o005;

/** Whether any account may enter every folder above `path`. */
function isReachable(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (existsSync(folder) && (statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

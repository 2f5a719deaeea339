import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, extname, join } from "node:path";
import { convertV4MiniflareOptions, Miniflare, type V4ModuleDefinition } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { z } from "zod";
import { runToEnd } from "./run-to-end.ts";

/*
 * The edge of the local planet: the Worker, built by wrangler from the wrangler.toml that is deployed, under workerd.
 * Nothing is fetched: geography is given, and storage lies in EDGE_DIR.
 */

const json = z.string().transform((text): unknown => JSON.parse(text));
const environment = z
  .object({
    EDGE_PORT: z.coerce.number().int().min(0).max(65_535),
    EDGE_DIR: z.string().min(1),
    EDGE_CONFIG: z.string().min(1),
    EDGE_BINDINGS: json.pipe(z.record(z.string(), z.string())),
    EDGE_CF: json.pipe(z.record(z.string(), z.unknown())),
  })
  .parse(process.env);

/** A line as the Worker's own are. */
function write(level: string, atMs: number, msg: string, more: object = {}): void {
  const time = new Date(atMs).toISOString();
  process.stdout.write(`${JSON.stringify({ level, time, service: "edge", msg, ...more })}\n`);
}

const bundleDir = join(environment.EDGE_DIR, `bundle-${randomUUID()}`);
const modules = await bundle(environment.EDGE_CONFIG, bundleDir);
const { workerOptions } = unstable_getMiniflareWorkerOptions(environment.EDGE_CONFIG);
const { modulesRules: _, ...worker } = workerOptions;

const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    ...worker,
    modules,
    modulesRoot: bundleDir,
    bindings: { ...(worker["bindings"] as object | undefined), ...environment.EDGE_BINDINGS },
    host: "127.0.0.1",
    port: environment.EDGE_PORT,
    cf: environment.EDGE_CF,
    resourcePersistencePath: join(environment.EDGE_DIR, "state"),
    logRequests: false,
    telemetry: { enabled: false },
    handleStructuredLogs: ({ timestamp, level, message }) => {
      // What the Worker logs is a line as it should be; only what others say needs one.
      if (message.startsWith('{"level":')) process.stdout.write(`${message}\n`);
      else write(level === "log" ? "info" : level, timestamp, message);
    },
  }),
);

let stopping = false;
async function stop(code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  await miniflare.dispose();
  await rm(bundleDir, { recursive: true, force: true });
  process.exit(code);
}
for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => void stop(0));

const url = await miniflare.ready;
write("info", Date.now(), "the edge serves", { url: url.href });

/** Has wrangler build the Worker as for a deployment, and lists what it made. */
async function bundle(config: string, outDir: string): Promise<V4ModuleDefinition[]> {
  await mkdir(environment.EDGE_DIR, { recursive: true });
  for (const name of await readdir(environment.EDGE_DIR)) {
    if (name.startsWith("bundle-"))
      await rm(join(environment.EDGE_DIR, name), { recursive: true, force: true });
  }
  const home = createRequire(import.meta.url).resolve("wrangler/package.json");
  const args = [
    join(home, "../bin/wrangler.js"),
    "deploy",
    "--dry-run",
    "--config",
    config,
    "--outdir",
    outDir,
  ];
  await runToEnd({
    command: process.execPath,
    args,
    env: {
      HOME: process.env["HOME"] ?? "",
      CI: "1",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
      NO_COLOR: "1",
    },
  });
  const entry = `${basename(z.string().parse(unstable_getMiniflareWorkerOptions(config).main)).replace(/\.\w+$/, "")}.js`;
  const types: Record<string, V4ModuleDefinition["type"]> = {
    ".js": "ESModule",
    ".mjs": "ESModule",
    ".wasm": "CompiledWasm",
    ".txt": "Text",
    ".html": "Text",
    ".bin": "Data",
  };
  const files = (await readdir(outDir)).filter((file) => types[extname(file)] !== undefined);
  // The entry comes first: workerd starts there.
  return files
    .toSorted((a, b) => Number(b === entry) - Number(a === entry))
    .map((file) => ({ type: types[extname(file)] ?? "Data", path: join(outDir, file) }));
}

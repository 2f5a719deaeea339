import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface KeeperProcess {
  /** Its port of /readyz and the like. */
  opsUrl: string;
  /** What it has logged so far. */
  log(): string;
  /** Settles when it ends, to its exit code. */
  exited: Promise<number | null>;
  /** Ends it by a signal; resolves to its exit code, null when the signal killed it. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Runs regions/run-keeper.ts of us-east as a process of its own; `nodeOptions`: of Node's command line. */
export async function startKeeper(
  environment: Record<string, string>,
  nodeOptions: readonly string[] = [],
): Promise<KeeperProcess> {
  const entry = fileURLToPath(new URL("../../../regions/run-keeper.ts", import.meta.url));
  const child = spawn(process.execPath, [...nodeOptions, entry], {
    env: {
      PATH: process.env["PATH"],
      ANTIPHON_ENV: "test",
      ANTIPHON_REGION: "us-east",
      S3_ENDPOINT: "http://127.0.0.1:9",
      S3_BUCKET: "antiphon-us-east",
      S3_ACCESS_KEY_ID: "id",
      S3_SECRET_ACCESS_KEY: "secret",
      WEBHOOK_KEYS: Buffer.alloc(32, 7).toString("base64"),
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit") as Promise<[number | null, string | null]>;
  let log = "";
  const opsUrl = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      log += chunk.toString();
      const port = /"ops_port":(\d+)/.exec(log)?.[1];
      if (port) resolve(`http://127.0.0.1:${port}`);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    exited.then(() => reject(new Error(`the keeper ended: ${log}`)), reject);
  });
  return {
    opsUrl,
    log: () => log,
    exited: exited.then(([code]) => code),
    async end(signal) {
      child.kill(signal);
      const [code] = await exited;
      return code;
    },
  };
}

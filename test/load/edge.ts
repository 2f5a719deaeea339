import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { mintApiKey } from "../../shared/contracts/api-key.ts";
import { Job } from "../../shared/contracts/api.ts";
import { mintUploadId } from "../../shared/contracts/ids.ts";
import { regions } from "../../shared/contracts/regions.ts";
import { freePort } from "../../scripts/planet/ports.ts";
import { startMeasuredServer } from "./accept/measured-server.ts";
import { postAll } from "./accept/post-all.ts";
import { startWorker, type RunningWorker } from "./edge/start-worker.ts";

const REQUESTS = 2_000;
const ROUNDS = 5;
const CONNECTIONS = 32;
const JOBS_READ = 50;
const SECRET = "a-secret-of-the-link-between-edge-and-region";
const ROOT = resolve(import.meta.dirname, "../..");

const CALLS = ["get", "post"] as const;
type Call = (typeof CALLS)[number];

interface Turn {
  /** Requests per second of workerd's CPU time, and of the clock's. */
  perCore: number;
  perSecond: number;
}

const say = (line: string) => process.stdout.write(`${line}\n`);

/**
 * Requests per second of CPU time through the whole Worker, under the workerd that is deployed: `GET /v1/jobs/{id}` of a job that
 * runs, and `POST /v1/analyses`, before a region that answers at once. Against a bare Worker that does one KV read and the
 * forward, and for POST one write in a Durable Object; it parses, checks and signs nothing. Both run in the same way, by
 * turns; requests come over bare sockets. CPU is that of workerd alone: of the Worker, its objects and its KV.
 */
export async function benchEdge({ json }: { json: boolean }): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-edge-"));
  const note = json ? () => undefined : say;
  const originPort = await freePort();
  const origin = await startMeasuredServer(new URL("./edge/serve-origin.ts", import.meta.url), {
    port: originPort,
    logFile: join(folder, "origin.log"),
    env: {},
  });
  const originUrl = `http://127.0.0.1:${originPort}`;
  const workers: RunningWorker[] = [];
  try {
    const ours = await startWorker(
      join(folder, "ours"),
      join(ROOT, "wrangler.toml"),
      ourBindings(originUrl),
    );
    workers.push(ours);
    const bare = await startWorker(
      join(folder, "bare"),
      join(import.meta.dirname, "edge/bare/wrangler.toml"),
      { ORIGIN: originUrl },
    );
    workers.push(bare);
    await fetch(`${bare.url}/seed`);
    const key = mintApiKey("test", crypto.getRandomValues(new Uint8Array(32)));
    const ids = await acceptJobs(ours.url, key);

    const requests: Record<Call, (port: number) => Buffer[]> = {
      get: (port) =>
        Array.from({ length: REQUESTS }, (_, i) => getRequest(port, key, ids[i % ids.length]!)),
      post: (port) => Array.from({ length: REQUESTS }, () => postRequest(port, key)),
    };
    const turns = {
      get: { ours: [] as Turn[], bare: [] as Turn[] },
      post: { ours: [] as Turn[], bare: [] as Turn[] },
    };
    // The first round is the compiler's.
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const call of CALLS) {
        const order = round % 2 === 0 ? (["ours", "bare"] as const) : (["bare", "ours"] as const);
        for (const which of order) {
          const worker = which === "ours" ? ours : bare;
          const status = call === "get" ? 200 : 202;
          const before = await worker.cpuMs();
          const ms = await postAll(worker.port, requests[call](worker.port), {
            connections: CONNECTIONS,
            status,
          });
          const used = (await worker.cpuMs()) - before;
          const turn = { perCore: (REQUESTS / used) * 1000, perSecond: (REQUESTS / ms) * 1000 };
          if (round === 0) continue;
          turns[call][which].push(turn);
          note(
            `round ${round}: ${call.padEnd(4)} ${which} ${Math.round(turn.perCore)} requests per second of CPU, ` +
              `${Math.round(turn.perSecond)} per second`,
          );
        }
      }
    }
    const summary = (call: Call) => {
      const { ours: mine, bare: limit } = turns[call];
      const ratio = (value: (turn: Turn) => number) =>
        round2(median(mine.map((turn, i) => value(turn) / value(limit[i]!))));
      const middle = (of: Turn[], value: (turn: Turn) => number) =>
        Math.round(median(of.map(value)));
      const perCore = (turn: Turn) => turn.perCore;
      const perSecond = (turn: Turn) => turn.perSecond;
      return {
        ours: middle(mine, perCore),
        limit: middle(limit, perCore),
        ratio_to_limit: ratio(perCore),
        by_the_clock: {
          ours: middle(mine, perSecond),
          limit: middle(limit, perSecond),
          ratio_to_limit: ratio(perSecond),
        },
      };
    };
    const [get, post] = [summary("get"), summary("post")];
    say(
      JSON.stringify({
        bench: "edge",
        unit: "GET requests per second of workerd's CPU",
        ours: get.ours,
        reference: null,
        limit: { name: "a bare Worker with one KV read and the forward", value: get.limit },
        ratio_to_reference: null,
        ratio_to_limit: get.ratio_to_limit,
        get,
        post: { ...post, limit_name: "the same plus one Durable Object write" },
        requests: REQUESTS,
        connections: CONNECTIONS,
        rounds: ROUNDS,
        load_average: round2(loadavg()[0]!),
      }),
    );
  } finally {
    for (const worker of workers) await worker.close();
    await origin.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function ourBindings(origin: string): Record<string, string> {
  const endpoint = {
    api: origin,
    objects: origin,
    public_objects: origin,
    bucket: "antiphon-bench",
    aws_region: "us-east-1",
    access_key_id: "AKBENCH",
    secret_access_key: "a-secret-of-the-bench",
  };
  return {
    ENVIRONMENT: "test",
    LINK_SECRETS: JSON.stringify({ "us-east": [SECRET] }),
    AUDIO_URL_KEYS: JSON.stringify({ current: "k1", secrets: { k1: "a".repeat(32) } }),
    REGION_ENDPOINTS: JSON.stringify({ "us-east": endpoint }),
    PUBLIC_URL: "https://edge.test",
  };
}

/** Jobs that the ledger knows, to be asked about. */
async function acceptJobs(url: string, key: string): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < JOBS_READ; i++) {
    const response = await fetch(`${url}/v1/analyses`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: analysis(),
    });
    if (response.status !== 202)
      throw new Error(`HTTP ${response.status}: ${await response.text()}`);
    ids.push(Job.parse(await response.json()).id);
  }
  return ids;
}

const analysis = () => JSON.stringify({ upload_id: mintUploadId(regions[0]!), user_id: "user-1" });

const getRequest = (port: number, key: string, id: string): Buffer =>
  Buffer.from(
    `GET /v1/jobs/${id} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer ${key}\r\n\r\n`,
  );

function postRequest(port: number, key: string): Buffer {
  const body = analysis();
  return Buffer.from(
    `POST /v1/analyses HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer ${key}\r\n` +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

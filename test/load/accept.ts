import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { SIGNATURE_HEADER, signLinkRequest } from "../../shared/signing/link-signature.ts";
import { freePort } from "../../scripts/planet/ports.ts";
import { startRedis } from "../support/redis.ts";
import { startMeasuredServer } from "./accept/measured-server.ts";
import { postAll } from "./accept/post-all.ts";
import { makeSpecs } from "./make-specs.ts";

const JOBS = 5000;
const ROUNDS = 5;
const CONNECTIONS = 50;
const REGION = "us-east";
const SECRET = "a-secret-of-the-link-between-edge-and-region";
const STORE = { accessKeyId: "AKBENCH", secretAccessKey: "a-secret-of-the-bench" };
const BUCKET = "antiphon-bench";

interface Turn {
  /** Jobs per second of the server's own CPU time, and of the clock's. */
  perCore: number;
  perSecond: number;
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const entry = (path: string) => new URL(path, import.meta.url);

/**
 * Jobs that a region's API takes per second of CPU time, against a Hono route that does nothing but one durable XADD. The API is
 * `regions/serve-api.ts` as it runs in production: signature, validation, a signed HEAD of the upload at an object store (a stand-in for
 * S3, in a process of its own), the queue, and its log in a file. Each server has a process and a new Redis; the requests come from
 * this process, signed beforehand.
 */
export async function benchAccept({ json }: { json: boolean }): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-accept-"));
  const storePort = await freePort();
  const store = await startMeasuredServer(entry("./accept/serve-objects.ts"), {
    port: storePort,
    logFile: join(folder, "store.log"),
    env: {},
  });
  const endpoint = `http://127.0.0.1:${storePort}`;
  const turns = { ours: [] as Turn[], bare: [] as Turn[] };
  try {
    // The first round is the compiler's.
    for (let round = 0; round <= ROUNDS; round += 1) {
      const order = round % 2 === 0 ? (["ours", "bare"] as const) : (["bare", "ours"] as const);
      for (const which of order) {
        const turn = await runTurn(which, { folder, endpoint });
        if (round === 0) continue;
        turns[which].push(turn);
        if (!json) {
          say(
            `round ${round}: ${which.padEnd(4)} ${Math.round(turn.perCore)} jobs per second of CPU, ` +
              `${Math.round(turn.perSecond)} per second`,
          );
        }
      }
    }
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
  const middle = (of: readonly Turn[], value: (turn: Turn) => number) =>
    Math.round(median(of.map(value)));
  const ratio = (value: (turn: Turn) => number) =>
    round2(median(turns.ours.map((turn, round) => value(turn) / value(turns.bare[round]!))));
  const perCore = ({ perCore: jobs }: Turn) => jobs;
  const perSecond = ({ perSecond: jobs }: Turn) => jobs;
  say(
    JSON.stringify({
      bench: "accept",
      unit: "jobs per second of the server's CPU",
      ours: middle(turns.ours, perCore),
      reference: null,
      limit: {
        name: "a bare Hono route with one durable XADD",
        value: middle(turns.bare, perCore),
      },
      ratio_to_reference: null,
      ratio_to_limit: ratio(perCore),
      by_the_clock: {
        ours: middle(turns.ours, perSecond),
        limit: middle(turns.bare, perSecond),
        ratio_to_limit: ratio(perSecond),
      },
      jobs: JOBS,
      connections: CONNECTIONS,
      rounds: ROUNDS,
      load_average: round2(loadavg()[0]!),
    }),
  );
}

interface Surroundings {
  folder: string;
  endpoint: string;
}

async function runTurn(which: "ours" | "bare", surroundings: Surroundings): Promise<Turn> {
  const { folder, endpoint } = surroundings;
  const redis = await startRedis();
  try {
    const ours = which === "ours";
    const server = await startMeasuredServer(
      entry(ours ? "../../regions/serve-api.ts" : "./accept/serve-bare.ts"),
      {
        port: await freePort(),
        logFile: join(folder, `${which}.log`),
        env: { REDIS_URL: redis.url, ...(ours ? environment(endpoint) : {}) },
      },
    );
    try {
      const post = async (count: number) => {
        const specs = makeSpecs(count);
        const requests = await Promise.all(specs.map((spec) => toRequest(spec, server.port)));
        return postAll(server.port, requests, { connections: CONNECTIONS, status: 202 });
      };
      // Its functions are compiled and its connections open before it counts.
      await post(JOBS);
      const before = await server.cpuMs();
      const ms = await post(JOBS);
      const used = (await server.cpuMs()) - before;
      return { perCore: (JOBS / used) * 1000, perSecond: (JOBS / ms) * 1000 };
    } finally {
      await server.close();
    }
  } finally {
    await redis.close();
  }
}

/** What serve-api.ts reads; its database is asked for nothing here. */
function environment(endpoint: string): Record<string, string> {
  const nowhere = "postgres://antiphon@127.0.0.1:1/antiphon";
  return {
    ANTIPHON_REGION: REGION,
    S3_ENDPOINT: endpoint,
    S3_BUCKET: BUCKET,
    S3_ACCESS_KEY_ID: STORE.accessKeyId,
    S3_SECRET_ACCESS_KEY: STORE.secretAccessKey,
    DATABASE_URL: nowhere,
    DATABASE_REPLICA_URL: nowhere,
    EDGE_URL: "http://127.0.0.1:1",
    LINK_SECRETS: SECRET,
    WEBHOOK_KEYS: Buffer.alloc(32, 7).toString("base64"),
  };
}

/** The bytes of a request as the edge sends it. */
async function toRequest(spec: JobSpec, port: number): Promise<Buffer> {
  const body = JSON.stringify(spec);
  const target = "/internal/jobs";
  const signature = await signLinkRequest(SECRET, {
    method: "POST",
    target,
    body,
    audience: REGION,
  });
  return Buffer.from(
    `POST ${target} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${spec.request_id}\r\n` +
      `${SIGNATURE_HEADER}: ${signature}\r\n\r\n${body}`,
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

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

const contenders = ["ours", "uploaded", "bare"] as const;
type Contender = (typeof contenders)[number];
/** What the edge says of a recording that it has stored itself. */
const STORED = Buffer.from(
  JSON.stringify({
    bytes: 85178,
    etag: '"fba9dede5f27731c9771645a39863328"',
    type: "audio/wav",
  }),
).toString("base64url");

interface Turn {
  /** Jobs per second of the server's own CPU time, and of the clock's. */
  perCore: number;
  perSecond: number;
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const entry = (path: string) => new URL(path, import.meta.url);

/**
 * Jobs that a region's API takes per second of CPU time, against a Hono route that does nothing but one durable XADD. The API is
 * `regions/serve-api.ts` as it runs in production: signature, validation, the queue, and its log in a file. Of the main figure the edge
 * has stored the recording itself, and says so. `uploaded`: the client has, so that the API asks the object store for it (a signed HEAD; a
 * stand-in for S3, in a process of its own). Each server has a process and a new Redis; the requests come from this process, signed
 * beforehand.
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
  const turns: Record<Contender, Turn[]> = { ours: [], uploaded: [], bare: [] };
  try {
    // The first round is the compiler's.
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (let at = 0; at < contenders.length; at += 1) {
        const which = contenders[(at + round) % contenders.length]!;
        const turn = await runTurn(which, { folder, endpoint });
        if (round === 0) continue;
        turns[which].push(turn);
        if (!json) {
          say(
            `round ${round}: ${which.padEnd(8)} ${Math.round(turn.perCore)} jobs per second of CPU, ` +
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
  const ratio = (value: (turn: Turn) => number, which: Contender = "ours") =>
    round2(median(turns[which].map((turn, round) => value(turn) / value(turns.bare[round]!))));
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
      uploaded: {
        ours: middle(turns.uploaded, perCore),
        ratio_to_limit: ratio(perCore, "uploaded"),
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

async function runTurn(which: Contender, surroundings: Surroundings): Promise<Turn> {
  const { folder, endpoint } = surroundings;
  const redis = await startRedis();
  try {
    const ours = which !== "bare";
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
        const requests = await Promise.all(
          specs.map((spec) => toRequest(spec, server.port, which)),
        );
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
async function toRequest(spec: JobSpec, port: number, which: Contender): Promise<Buffer> {
  const body = JSON.stringify(spec);
  const target = which === "ours" ? `/internal/jobs?stored=${STORED}` : "/internal/jobs";
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

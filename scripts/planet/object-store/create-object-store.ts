import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { createCors } from "./cors.ts";
import { createReplicator } from "./create-replicator.ts";
import { createRequestHandler } from "./handle-request.ts";
import { openMultipartStorage } from "./multipart-storage.ts";
import { openObjectStorage } from "./object-storage.ts";
import { checkBucketName } from "./parse-request.ts";
import { type ReplicationRule, createReplicationRules } from "./replication-rules.ts";
import type { Peer } from "./send-replica.ts";
import { createSignatureVerifier } from "./verify-signature.ts";

const MIB = 1024 * 1024;
const IDLE_SOCKET_MS = 60_000;
const CLOSE_GRACE_MS = 3_000;

interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

export interface ObjectStoreOptions {
  /** Folder for everything that must survive a restart. */
  dataDir: string;
  /** The region that signatures must name. */
  region: string;
  /** Created at start; the only one that replicates. */
  bucket: string;
  /** The first signs what goes to peers. */
  credentials: [Credentials, ...Credentials[]];
  peers?: Peer[];
  replication?: ReplicationRule[];
  /** From a write to its first try at a peer. */
  replicationDelayMs?: number;
  maxRetryMs?: number;
  maxObjectBytes?: number;
  /** Smallest size of a multipart upload's part, but for the last. */
  minPartBytes?: number;
  /** Browser origins that may use presigned URLs. */
  corsOrigins?: string[];
  /** Milliseconds since 1970. */
  now?: () => number;
  log: Logger;
}

export interface ObjectStore {
  /** Begins to serve, and to replicate; resolves to the port (0 asks for a free one). */
  listen: (port: number, host?: string) => Promise<number>;
  /** Finishes what is under way within seconds, and stops. */
  close: () => Promise<void>;
  /** Number of writes that peers have yet to get. */
  pendingReplication: () => number;
}

/**
 * An S3-compatible object store on the local disk, for the local planet and the tests; production uses S3.
 * It verifies every signature, header or presigned, and replicates by prefix as S3 does.
 */
export async function createObjectStore(options: ObjectStoreOptions): Promise<ObjectStore> {
  const {
    dataDir,
    region,
    bucket,
    credentials,
    peers = [],
    replication = [],
    replicationDelayMs = 1500,
    maxRetryMs = 5000,
    maxObjectBytes = 5 * 1024 * MIB,
    minPartBytes = 5 * MIB,
    corsOrigins = ["*"],
    now = Date.now,
    log,
  } = options;
  checkBucketName(bucket);
  checkDestinations(replication, peers);
  const rules = createReplicationRules(bucket, replication);
  const storage = await openObjectStorage({
    dataDir,
    now,
    rules,
    onPending: (destination, inBucket, key) => replicator.enqueue(destination, inBucket, key),
  });
  const multipart = await openMultipartStorage({ dataDir, now, minPartBytes, maxObjectBytes });
  await storage.createBucket(bucket);
  const replicator = createReplicator({
    storage,
    rules,
    peers,
    sender: { sourceRegion: region, ...credentials[0] },
    delayMs: replicationDelayMs,
    maxRetryMs,
    now,
    log,
  });
  const handleRequest = createRequestHandler({
    services: { region, storage, multipart, maxObjectBytes },
    verifySignature: createSignatureVerifier({
      region,
      now,
      credentials: new Map(
        credentials.map(({ accessKeyId, secretAccessKey }) => [accessKeyId, secretAccessKey]),
      ),
    }),
    cors: createCors(corsOrigins),
    health: () => ({ status: "ok", region, pending_replication: replicator.pending() }),
    log,
  });

  // requestTimeout would cut a slow upload that still makes progress; the idle timeout does not.
  const server = createServer({ requestTimeout: 0, headersTimeout: 20_000 });
  server.timeout = IDLE_SOCKET_MS;
  server.on("request", (message, response) => answer(message, response, false));
  server.on("checkContinue", (message, response) => answer(message, response, true));

  function answer(...request: Parameters<typeof handleRequest>): void {
    handleRequest(...request).catch((error: unknown) => {
      log.error({ err: error }, "a request could not even be refused");
      request[1].destroy();
    });
  }

  async function listen(port: number, host = "127.0.0.1"): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => {
        server.off("error", reject);
        resolve();
      });
    });
    for (const owed of storage.allOwed()) {
      replicator.enqueue(owed.destination, owed.bucket, owed.key);
    }
    const { port: bound } = server.address() as AddressInfo;
    log.info({ port: bound, bucket, pending: replicator.pending() }, "object store listens");
    return bound;
  }

  return {
    listen,
    pendingReplication: replicator.pending,
    close: async () => {
      await Promise.all([replicator.close(), closeServer(server)]);
    },
  };
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  try {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  } finally {
    clearTimeout(timer);
  }
}

function checkDestinations(rules: ReplicationRule[], peers: Peer[]): void {
  const known = new Set(peers.map((peer) => peer.region));
  for (const destination of rules.flatMap((rule) => rule.destinations)) {
    if (!known.has(destination)) {
      throw new Error(`A replication rule names ${destination}, which is no peer.`);
    }
  }
}

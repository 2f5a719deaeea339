import type { Logger } from "pino";
import type { ObjectStorage } from "./object-storage.ts";
import type { ReplicationRules } from "./replication-rules.ts";
import {
  type Peer,
  ReplicaRefused,
  type ReplicaSender,
  sendDelete,
  sendReplica,
} from "./send-replica.ts";

const CONCURRENCY = 4;
const FIRST_RETRY_MS = 250;

interface ReplicatorOptions {
  storage: ObjectStorage;
  rules: ReplicationRules;
  peers: Peer[];
  sender: ReplicaSender;
  /** From the write to the first try. */
  delayMs: number;
  /** Longest wait between two tries. */
  maxRetryMs: number;
  now: () => number;
  log: Logger;
}

interface Task {
  bucket: string;
  key: string;
  /** Milliseconds since 1970. */
  due: number;
  tries: number;
  running: boolean;
}

interface Lane {
  destination: string;
  peer: Peer;
  tasks: Map<string, Task>;
  running: number;
  /** Tries in a row at which the peer was not there. */
  away: number;
  resumeAt: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Brings peers what the storage says they lack, one lane for each. The list of what is lacking is the
 * storage's, on the disk; a lane only orders it by time, so a restart resumes it from there. A task names a
 * key, not a revision: it sends what is newest when its time comes, so writes to one key never overtake
 * each other.
 */
export function createReplicator(options: ReplicatorOptions) {
  const { storage, rules, sender, now, log } = options;
  const closing = new AbortController();
  const inFlight = new Set<Promise<void>>();
  const lanes = new Map<string, Lane>();
  for (const peer of options.peers) {
    lanes.set(peer.region, {
      destination: peer.region,
      peer,
      tasks: new Map(),
      running: 0,
      away: 0,
      resumeAt: 0,
      timer: undefined,
    });
  }

  function enqueue(destination: string, bucket: string, key: string, delayMs = options.delayMs) {
    const lane = lanes.get(destination);
    if (!lane) {
      log.error({ destination }, "a replication rule names a region that is no peer");
      return;
    }
    const name = `${bucket}/${key}`;
    if (!lane.tasks.has(name)) {
      lane.tasks.set(name, { bucket, key, due: now() + delayMs, tries: 0, running: false });
    }
    pump(lane);
  }

  function pump(lane: Lane): void {
    clearTimeout(lane.timer);
    if (closing.signal.aborted) return;
    let next = Number.POSITIVE_INFINITY;
    for (const [name, task] of lane.tasks) {
      // Until a peer that was away is known to be back, one try at a time is enough.
      if (lane.running >= (lane.away > 0 ? 1 : CONCURRENCY)) return;
      if (task.running) continue;
      const due = Math.max(task.due, lane.resumeAt);
      if (due <= now()) start(lane, name, task);
      else next = Math.min(next, due);
    }
    if (next < Number.POSITIVE_INFINITY) {
      lane.timer = setTimeout(() => pump(lane), Math.max(1, next - now()));
    }
  }

  function start(lane: Lane, name: string, task: Task): void {
    task.running = true;
    lane.running += 1;
    const work = run(lane, name, task).finally(() => {
      lane.running -= 1;
      task.running = false;
      inFlight.delete(work);
      pump(lane);
    });
    inFlight.add(work);
  }

  async function run(lane: Lane, name: string, task: Task): Promise<void> {
    try {
      await bring(lane, task);
      lane.away = 0;
      // A write that came meanwhile is due from now.
      if (storage.owed(lane.destination, task.bucket, task.key) === undefined) {
        lane.tasks.delete(name);
      } else {
        Object.assign(task, { due: now() + options.delayMs, tries: 0 });
      }
    } catch (error) {
      if (closing.signal.aborted) return;
      const about = { destination: lane.destination, key: task.key, reason: String(error) };
      if (error instanceof ReplicaRefused) {
        lane.away = 0;
        task.due = now() + retryDelay(task.tries++);
        log.warn(about, "a peer refused a replica; trying again later");
      } else {
        lane.resumeAt = now() + retryDelay(lane.away++);
        log.info(about, "a peer is away; replication waits");
      }
    }
  }

  async function bring(lane: Lane, task: Task): Promise<void> {
    const { destination, peer } = lane;
    const owed = storage.owed(destination, task.bucket, task.key);
    if (!owed) return;
    const isDelete = "deletedAt" in owed;
    const allowed = isDelete ? rules.deletesTo : rules.copiesTo;
    // The rules may have become narrower since the write; what they forbid now must stay.
    const permitted = allowed(task.bucket, task.key).includes(destination);
    if (permitted) {
      if (isDelete) {
        await sendDelete(sender, peer, owed, closing.signal);
      } else {
        const handle = await storage.openBlob(owed);
        if (!handle) return;
        try {
          const bytes = handle.createReadStream({ autoClose: false });
          await sendReplica(sender, peer, owed, bytes, closing.signal);
        } finally {
          await handle.close();
        }
      }
      log.debug({ destination, key: task.key }, isDelete ? "delete replicated" : "replicated");
    }
    await storage.settle(destination, owed, permitted);
  }

  function retryDelay(tries: number): number {
    return Math.min(options.maxRetryMs, FIRST_RETRY_MS * 2 ** Math.min(tries, 20));
  }

  /** Stops at once; what was on its way is tried again after the next start. */
  async function close(): Promise<void> {
    closing.abort();
    for (const lane of lanes.values()) clearTimeout(lane.timer);
    await Promise.all(inFlight);
  }

  /** Number of writes that peers have yet to get. */
  function pending(): number {
    return [...lanes.values()].reduce((sum, lane) => sum + lane.tasks.size, 0);
  }

  return { enqueue, close, pending };
}

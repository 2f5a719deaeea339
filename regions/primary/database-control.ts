import type { DatabaseRole, WalPosition } from "../../shared/contracts/primary.ts";

/** What a region's Postgres is and how far its log is. */
export interface DatabaseStatus {
  role: DatabaseRole;
  position: WalPosition | null;
  /** The region that a replica follows. */
  follows: string | null;
  /**
   * Whoever runs the server has a clock of its own, in milliseconds, that only goes forward: what it read before it looked. Permits are
   * counted from it. Absent where whoever runs the server takes no permits.
   */
  at?: number | undefined;
}

/**
 * Power over a region's own Postgres server: whoever runs it (an agent beside it, a cloud's interface) offers this. Each step is safe
 * to repeat, and settles when it is done. Every one throws when whoever runs the server cannot be reached or refuses.
 */
export interface DatabaseControl {
  status(signal: AbortSignal): Promise<DatabaseStatus>;
  /**
   * Permits the server to be the primary until that reading of the clock of whoever runs it, however late this arrives. A primary is
   * down by the end of its last permit, in order or by force, without another word: also when nobody is left to say one.
   */
  permit(until: number, signal: AbortSignal): Promise<void>;
  /** Ends a primary, in order: replicas that are connected get all of its log. It stays down until it is started. A replica is left alone. */
  stop(signal: AbortSignal): Promise<void>;
  /** Starts the server again as it was when it was stopped; as the primary only while that is permitted. */
  start(signal: AbortSignal): Promise<void>;
  /** Makes a replica the primary, once it has replayed all that it received; only while that is permitted. */
  promote(signal: AbortSignal): Promise<void>;
  /** Makes the server a replica of a region's; one whose log has gone another way is built anew. */
  follow(region: string, signal: AbortSignal): Promise<void>;
}

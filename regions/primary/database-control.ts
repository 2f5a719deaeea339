import type { DatabaseRole, WalPosition } from "../../shared/contracts/primary.ts";

/** What a region's Postgres is and how far its log is. */
export interface DatabaseStatus {
  role: DatabaseRole;
  position: WalPosition | null;
  /** The region that a replica follows. */
  follows: string | null;
}

/**
 * Power over a region's own Postgres server: whoever runs it (an agent beside it, a cloud's interface) offers this. Each step is safe
 * to repeat, and settles when it is done. Every one throws when whoever runs the server cannot be reached or refuses.
 */
export interface DatabaseControl {
  status(signal: AbortSignal): Promise<DatabaseStatus>;
  /** Ends the server, in order: replicas that are connected get all of its log. It stays down until it is started. */
  stop(signal: AbortSignal): Promise<void>;
  /** Starts the server again as it was when it was stopped. */
  start(signal: AbortSignal): Promise<void>;
  /** Makes a replica the primary, once it has replayed all that it received. */
  promote(signal: AbortSignal): Promise<void>;
  /** Makes the server a replica of a region's; one whose log has gone another way is built anew. */
  follow(region: string, signal: AbortSignal): Promise<void>;
}

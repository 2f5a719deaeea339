import { setTimeout as pause } from "node:timers/promises";
import type { PrimaryOrder, WalPosition } from "../../shared/contracts/primary.ts";
import { defaultTimes } from "../../shared/policies/primary.ts";
import type { Logger } from "../ops/logger.ts";
import type { AskForOrders } from "./ask-for-orders.ts";
import type { DatabaseControl, DatabaseStatus } from "./database-control.ts";

export interface KeepPrimaryOptions {
  region: string;
  control: DatabaseControl;
  askForOrders: AskForOrders;
  /** Up to where this region's outbox has removed entries; null when it has removed none. */
  trimmed: () => WalPosition | null;
  logger: Logger;
  /** Pause between two reports. */
  everyMs?: number;
  /** So long before the lease ends the database is stopped, if the lease could not be renewed. */
  guardMs?: number;
  /** Monotonic milliseconds. */
  now?: () => number;
  /** Resolves after so many milliseconds; rejects when aborted. */
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

const FENCE_EVERY_MS = 250;
const LEAST_PAUSE_MS = 250;

/**
 * Keeps a region's Postgres what the lease of the primary says: reports what it is, and does what it is told, until `signal` is
 * aborted. A primary that cannot renew its lease is stopped before the lease ends, so that there are never two: by this keeper, or, should
 * it die or hang, by whoever runs the server, who is told with each renewal until when it may be the primary.
 */
export async function keepPrimary(options: KeepPrimaryOptions, signal: AbortSignal): Promise<void> {
  const { region, control, askForOrders, trimmed, logger, now = () => performance.now() } = options;
  const { everyMs = 2_000, guardMs = 4_000 } = options;
  const { sleep = (ms: number, until: AbortSignal) => pause(ms, undefined, { signal: until }) } =
    options;
  const away: DatabaseStatus = { role: "away", position: null, follows: null };
  /**
   * Of this region's own lease; by our own clock, from when it was asked for. At the start a keeper does not know what the one before it
   * was told: it gives the edge one lease's time to answer.
   */
  let leaseEndsAt = now() + defaultTimes.leaseMs;
  /** The edge's clock in its last answer. A report that brings it speaks of what was so after that, however late it arrives. */
  let heard: number | null = null;
  let toldOfNoPermits = false;
  /** As it was last seen. */
  let role: DatabaseStatus["role"] = "away";

  const isOurs = () => now() < leaseEndsAt - guardMs;

  async function obey(order: PrimaryOrder, status: DatabaseStatus): Promise<void> {
    const { holder, term } = order;
    switch (order.do) {
      case "keep":
        if (status.role === "stopped" && isOurs()) {
          logger.warn({ term }, "the lease is ours again: starting the database");
          await control.start(signal);
        }
        return;
      case "hand_over":
        if (status.role !== "primary") return;
        logger.warn({ term }, "handing the primary over: stopping the database");
        await control.stop(signal);
        return;
      case "take_over":
        if (!isOurs()) return;
        logger.warn({ term }, "taking over as the primary");
        await control.promote(signal);
        logger.warn({ term }, "this region has the primary now");
        return;
      case "follow": {
        if (holder === null || holder === region) return;
        const follows = status.role === "replica" && status.follows === holder;
        if (follows || status.role === "away") return;
        logger.warn({ holder, term, role: status.role }, "the primary is elsewhere: following it");
        await control.follow(holder, signal);
        return;
      }
      case "wait":
        return;
    }
  }

  /** Looks often, and apart from the reports, which may hang: stops a primary whose lease is about to end. */
  async function fence(): Promise<void> {
    while (!signal.aborted) {
      if (role === "primary" && !isOurs()) {
        logger.error("the lease cannot be renewed: stopping the primary");
        await control.stop(signal).then(
          () => (role = "stopped"),
          (error: unknown) => logger.error({ err: error }, "the primary could not be stopped"),
        );
      }
      await sleep(FENCE_EVERY_MS, signal).catch(() => undefined);
    }
  }

  /** One step at a time, beside the reports: a promotion or a rebuilding takes long, and the lease must be renewed meanwhile. */
  let step: Promise<void> | undefined;
  function begin(order: PrimaryOrder, status: DatabaseStatus): void {
    step ??= obey(order, status)
      .catch((error: unknown) => {
        if (!signal.aborted) logger.error({ err: error, order: order.do }, "could not obey");
      })
      .finally(() => (step = undefined));
  }

  /** The server's own clock was read before the edge was asked, and so ends the permit no later than the lease. */
  async function permit(status: DatabaseStatus, leaseMs: number): Promise<void> {
    if (status.role === "away") return;
    if (status.at !== undefined) return control.permit(status.at + leaseMs, signal);
    if (!toldOfNoPermits)
      logger.warn("whoever runs the database takes no permits: only this keeper can stop it");
    toldOfNoPermits = true;
  }

  async function report(): Promise<void> {
    const status = await control.status(signal).catch(() => away);
    if (status.role !== "away") role = status.role;
    const asked = now();
    const order = await askForOrders(
      {
        role: status.role,
        position: status.position,
        trimmed: trimmed(),
        after_ms: heard,
      },
      signal,
    );
    heard = order.at_ms ?? null;
    if (order.holder === region) {
      leaseEndsAt = Math.max(leaseEndsAt, asked + order.lease_ms);
      await permit(status, order.lease_ms);
    } else if (order.holder !== null) {
      leaseEndsAt = Number.NEGATIVE_INFINITY;
    }
    begin(order, status);
  }

  async function reports(): Promise<void> {
    let last = "";
    while (!signal.aborted) {
      const began = now();
      try {
        await report();
        last = "";
      } catch (error) {
        if (signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        if (reason !== last) logger.warn({ err: error }, "cannot keep the primary's lease now");
        last = reason;
      }
      // From one beginning to the next: of a lease that must be renewed in time, a slow link has used some up already.
      const pauseMs = Math.max(LEAST_PAUSE_MS, everyMs - (now() - began));
      await sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  await Promise.all([reports(), fence()]);
  await step;
}

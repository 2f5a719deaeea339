import type { Socket } from "node:net";

/** What may be on the way in one direction before the sender has to wait: enough for 300 Mbit/s over 200 ms. */
const IN_FLIGHT_BYTES = 8 * 2 ** 20;

type Parcel = { due: number; bytes: Buffer } | { due: number; end: "fin" | "reset" };

/** One direction of a link. */
export type DelayedPipe = {
  /** While held nothing is read and nothing delivered. */
  hold(held: boolean): void;
  stop(): void;
};

/**
 * Carries what `from` sends to `to`, each byte `delayMs` after it was sent and in order. Parcels wait in a queue,
 * so that many can be on the way at once. The end of the stream travels like a byte; so does a broken connection.
 */
export function delayed(
  from: Socket,
  to: Socket,
  options: { delayMs: () => number; notBefore: number; count: (length: number) => void },
): DelayedPipe {
  const queue: Parcel[] = [];
  let queued = 0;
  let lastDue = options.notBefore;
  let timer: NodeJS.Timeout | undefined;
  let draining = false;
  let held = false;
  let stopped = false;

  const nextDue = () => (lastDue = Math.max(lastDue, performance.now() + options.delayMs()));

  function flow(): void {
    if (stopped) return;
    if (held || queued >= IN_FLIGHT_BYTES) from.pause();
    else if (from.isPaused()) from.resume();
  }

  function deliver(): void {
    timer = undefined;
    while (!held && !draining && !stopped) {
      const parcel = queue[0];
      if (parcel === undefined) break;
      const wait = parcel.due - performance.now();
      if (wait > 0) {
        timer = setTimeout(deliver, Math.ceil(wait));
        break;
      }
      queue.shift();
      if ("end" in parcel) {
        if (parcel.end === "fin") to.end();
        else to.resetAndDestroy();
        continue;
      }
      queued -= parcel.bytes.length;
      options.count(parcel.bytes.length);
      if (!to.destroyed && !to.write(parcel.bytes)) draining = true;
    }
    flow();
  }

  function push(parcel: Parcel): void {
    if (stopped) return;
    queue.push(parcel);
    if (timer === undefined && !draining && !held) deliver();
  }

  from.on("data", (bytes: Buffer) => {
    queued += bytes.length;
    push({ due: nextDue(), bytes });
    flow();
  });
  from.once("end", () => push({ due: nextDue(), end: "fin" }));
  from.on("error", () => push({ due: nextDue(), end: "reset" }));
  from.once("close", () => {
    // Ended on our side only: the other end hears of it as a reset, unless a proper end went before.
    if (!from.readableEnded) push({ due: nextDue(), end: "reset" });
  });
  to.on("drain", () => {
    draining = false;
    if (timer === undefined) deliver();
  });
  to.once("close", () => {
    draining = false;
  });
  flow();

  return {
    hold(next) {
      held = next;
      if (held) {
        clearTimeout(timer);
        timer = undefined;
        flow();
      } else if (timer === undefined) {
        deliver();
      }
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      timer = undefined;
      queue.length = 0;
    },
  };
}

import type { Socket } from "node:net";

/**
 * Start-up parameter (blanks that Postgres passes over) that makes the first message of a connection so long that
 * postgres.js sends it without waiting for a timer: when a link has died between a statement and that timer, the driver
 * waits for the timer for ever, and its connection is never heard of again (it clears the timer, and keeps what it knows
 * of it).
 */
export const LONG_START = { options: " ".repeat(1024) };

/** The driver also keeps the bytes that it had not sent: cuts what comes before the start-up message. */
export function startUpAtOnce(socket: Socket): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let isFirst = true;
  socket.write = ((bytes: Uint8Array, ...rest: unknown[]) => {
    const start = isFirst ? startOfStartUp(Buffer.from(bytes)) : 0;
    isFirst = false;
    return write(bytes.subarray(start), ...rest);
  }) as typeof socket.write;
}

const PROTOCOL = Buffer.from([0, 3, 0, 0]);

/** It says its own length, then the protocol's version, and nothing comes after it. */
function startOfStartUp(bytes: Buffer): number {
  let at = bytes.indexOf(PROTOCOL, 4);
  while (at >= 0 && bytes.readInt32BE(at - 4) !== bytes.length - (at - 4)) {
    at = bytes.indexOf(PROTOCOL, at + 1);
  }
  return Math.max(0, at - 4);
}

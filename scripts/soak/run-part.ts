import { readdirSync } from "node:fs";
import type { FromPart, ToPart } from "./part-messages.ts";

/**
 * The side of a part that faces the soak: measures itself when asked to, stops when told to, and ends with the soak, however that ends.
 * @param stop ends its work; the process ends after it
 */
export function runPart(stop: () => Promise<void>): void {
  const tell = (message: FromPart) => process.send?.(message);
  process.on("message", (message: ToPart) => {
    if (message === "measure") tell(measure());
    else void stop().then(() => process.exit(0));
  });
  process.on("disconnect", () => process.exit(1));
  // The soak hears of Ctrl-C too, and says what is to be done.
  process.on("SIGINT", () => undefined);
  tell({ type: "ready" });
}

function measure(): FromPart {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    type: "measured",
    rssMb: rss / 2 ** 20,
    heapMb: heapUsed / 2 ** 20,
    handles: process.getActiveResourcesInfo().length + openFiles(),
  };
}

function openFiles(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}

import { connect, type ConnectionOptions } from "./connection.ts";

/** Prints each region's health and load. Exits 1 when a region is not healthy. */
export async function status(options: ConnectionOptions & { json?: boolean }): Promise<number> {
  const client = await connect(options);
  const { data } = await client.listRegions();
  if (options.json) process.stdout.write(`${JSON.stringify({ data }, null, 2)}\n`);
  else {
    for (const region of data) {
      const wait = region.load?.expected_wait_s.standard;
      const load = [
        `${region.waiting_jobs ?? "?"} waiting`,
        `${region.running_jobs ?? "?"} running`,
        ...(region.load ? [`${region.load.workers} workers`] : []),
        ...(typeof wait === "number" ? [`about ${wait.toFixed(1)} s to wait`] : []),
      ].join(", ");
      const latency =
        region.latency_ms === null ? "no answer" : `${Math.round(region.latency_ms)} ms`;
      const health = region.healthy ? "healthy" : "AWAY";
      process.stdout.write(
        `${region.id.padEnd(10)}${health.padEnd(9)}${latency.padStart(9)}  ${load}\n`,
      );
    }
  }
  return data.every((region) => region.healthy) ? 0 : 1;
}

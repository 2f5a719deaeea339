import type { PlanetStatus } from "./planet-controls.ts";

/** The planet's status as text for people: regions, processes, and those links that are not as they should be. */
export function showStatus({ edge, regions, links }: PlanetStatus): string {
  const lines: string[] = [];
  const process = (name: string, state: string, pid: number | null, restarts: number) => {
    const again = restarts === 0 ? "" : `  restarted ${restarts}x`;
    lines.push(`  ${name.padEnd(22)} ${state.padEnd(9)} ${pid ?? ""}${again}`.trimEnd());
  };
  lines.push(`edge  ${edge.url}`);
  if (edge.process !== undefined) {
    process(edge.process.name, edge.process.state, edge.process.pid, edge.process.restarts);
  }
  for (const region of regions) {
    lines.push("", `${region.id}  ${region.state}`);
    for (const { name, state, pid, restarts } of region.processes)
      process(name, state, pid, restarts);
  }
  const odd = links.filter(
    ({ state, rttMs, baseRttMs }) => state !== "open" || rttMs !== baseRttMs,
  );
  lines.push("", `links  ${links.length - odd.length} as they should be`);
  for (const { name, state, rttMs, baseRttMs } of odd) {
    const what =
      state === "open" ? `slowed: ${rttMs} ms instead of ${baseRttMs} ms` : `cut (${state})`;
    lines.push(`  ${name}  ${what}`);
  }
  return lines.join("\n");
}

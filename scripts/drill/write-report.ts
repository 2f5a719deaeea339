import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { drawRound } from "./draw-round.ts";
import type { DrillSummary } from "./run-drill.ts";
import type { RoundReport } from "./run-round.ts";

export interface WriteReportOptions {
  folder: string;
  summary: DrillSummary;
  does: string;
  kept: boolean;
  startedAt: Date;
  reports: readonly RoundReport[];
}

/** Writes report.md and a picture of each round; settles to the report's path. */
export async function writeReport(options: WriteReportOptions): Promise<string> {
  const { folder, summary, does, kept, startedAt, reports } = options;
  await mkdir(folder, { recursive: true });
  await Promise.all(
    reports.map((report, index) =>
      writeFile(join(folder, `round-${index + 1}.svg`), drawRound(report)),
    ),
  );
  const { two_primaries_ms } = summary;
  const { rto_ms, rpo_rows, accepted, refused, lost, doubled, failed, waited, redispatched } =
    summary;
  const lines = [
    `# Drill: ${summary.drill} ${summary.region}`,
    "",
    `${startedAt.toISOString()}, ${reports.length} rounds: ${does}. ${kept ? "Every promise was kept." : "**A promise was broken.**"}`,
    "",
    "| accepted | lost | doubled | failed | rows lost | waited | re-dispatched | refused | RTO p50 | RTO max | two primaries |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
    `| ${accepted} | ${lost} | ${doubled} | ${failed} | ${rpo_rows} | ${waited} | ${redispatched} | ${refused} | ${rto_ms.p50 ?? "-"} ms | ${rto_ms.max ?? "-"} ms | ${two_primaries_ms} ms |`,
    "",
    "RTO is the longest time that a new request, begun while the fault lasted, of a tenant that may go to any region took until it was accepted, its client's tries included.",
    "",
    "Two primaries: in each region a witness, which no link parts from the region's own Postgres, tries ten times a second to commit there. It is the time in which one server still took its writes though another had taken some. Writes of the witness are nobody's jobs: rows lost are counted of jobs alone.",
  ];
  for (const [index, { verdict, moments, reigns, returned }] of reports.entries()) {
    lines.push("", `## Round ${index + 1}`, "", `![timeline](round-${index + 1}.svg)`, "");
    for (const { atMs, what } of moments) lines.push(`- ${(atMs / 1000).toFixed(1)} s: ${what}`);
    for (const line of [...reigns, returned]) lines.push(`- ${line}`);
    if (verdict.rtoMs !== null) {
      const took = (verdict.rtoMs / 1000).toFixed(1);
      lines.push(`- the longest new request took ${took} s: ${verdict.slowest.join(", ")}`);
    }
    const faults = [
      ...verdict.lost.map((id) => `lost: ${id}`),
      ...verdict.doubled.map((what) => `doubled: ${what}`),
      ...verdict.failed.map((id) => `failed: ${id}`),
      ...verdict.rpoRows.map((id) => `no rows: ${id}`),
    ];
    if (faults.length > 0) lines.push("", ...faults.map((fault) => `- **${fault}**`));
  }
  const path = join(folder, "report.md");
  await writeFile(path, `${lines.join("\n")}\n`);
  return path;
}

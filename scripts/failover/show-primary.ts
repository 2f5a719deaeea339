import type { PrimaryStatus } from "../../shared/contracts/primary.ts";

/** The primary's lease and the regions' reports, as text for people. */
export function showPrimary({
  holder,
  term,
  lease_ends_in_ms,
  handing_over_to,
  regions,
  history,
}: PrimaryStatus): string {
  const ends =
    lease_ends_in_ms > 0
      ? `for another ${(lease_ends_in_ms / 1000).toFixed(1)} s`
      : `ended ${(-lease_ends_in_ms / 1000).toFixed(1)} s ago`;
  const lines = [
    holder === null ? "no primary yet" : `primary ${holder}, term ${term}, lease ${ends}`,
  ];
  if (handing_over_to !== null) lines.push(`being handed over to ${handing_over_to}`);
  for (const { region, role, position, reported_ms_ago, cannot_take_over } of regions) {
    const place = position === null ? "-" : `${position.timeline}:${position.lsn}`;
    const seen = `${(reported_ms_ago / 1000).toFixed(1)} s ago`;
    const why = region === holder ? "" : (cannot_take_over ?? "could take over");
    lines.push(
      `  ${region.padEnd(10)} ${role.padEnd(8)} ${place.padEnd(14)} ${seen.padEnd(10)} ${why}`.trimEnd(),
    );
  }
  for (const { term: number, holder: who, since } of history.slice(-5)) {
    lines.push(`  term ${number}: ${who} since ${since}`);
  }
  return lines.join("\n");
}

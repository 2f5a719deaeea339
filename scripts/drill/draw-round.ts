import { regions as known } from "../../shared/contracts/regions.ts";
import type { RoundReport } from "./run-round.ts";

const WIDTH = 960;
const LEFT = 110;
const RIGHT = 20;
const ROW = 22;
const SHARES = 44;
/** A server that confirmed no write for longer than this did not take any. */
const GAP_MS = 1_000;
const colours = ["#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2"];

/**
 * A round as SVG. From above: the share of the requests that the edge gave each region, second by second; a line of dots for each region
 * that accepted jobs; failed tries; when each region's Postgres took writes as the primary; and the milestones with their times.
 */
export function drawRound({
  accepted,
  failed,
  moments,
  healedMs,
  commits,
  routed,
}: RoundReport): string {
  // In the same order and colours in every picture.
  const regions = known.map(({ id }) => id);
  const colourOf = (region: string) => colours[regions.indexOf(region) % colours.length]!;
  const milestones = moments.filter(({ milestone }) => milestone);
  const times = [
    ...accepted.map(({ atMs }) => atMs),
    ...failed,
    ...milestones.map(({ atMs }) => atMs),
  ];
  const from = Math.min(0, ...times);
  const to = Math.max(1, ...times);
  const x = (ms: number) =>
    LEFT + ((Math.min(Math.max(ms, from), to) - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const top = 30;
  const accepting = regions.filter((region) => accepted.some((one) => one.region === region));
  const writing = regions.filter((region) => commits.some((one) => one.region === region));
  const firstRow = top + SHARES + 18;
  const rows = accepting.length + 1 + writing.length;
  const axis = firstRow + rows * ROW;
  const height = axis + 30 + milestones.length * 16 + 12;
  const parts: string[] = [];
  const text = (at: number, y: number, what: string, anchor = "start", fill = "#333") =>
    parts.push(
      `<text x="${at.toFixed(1)}" y="${y}" text-anchor="${anchor}" fill="${fill}">${escape(what)}</text>`,
    );
  const box = (left: number, right: number, y: number, high: number, more: string) =>
    parts.push(
      `<rect x="${left.toFixed(1)}" y="${y.toFixed(1)}" width="${Math.max(right - left, 0.5).toFixed(1)}" height="${high.toFixed(1)}" ${more}/>`,
    );

  box(x(0), x(healedMs), top - 14, axis - top + 14, 'fill="#d62728" opacity="0.10"');
  text(x(0) + 4, top - 18, "the fault", "start", "#b02020");

  text(LEFT - 10, top + SHARES / 2 - 4, "share of", "end");
  text(LEFT - 10, top + SHARES / 2 + 9, "requests", "end");
  for (let second = Math.floor(from / 1000); second * 1000 < to; second++) {
    const those = routed.filter(({ atMs }) => Math.floor(atMs / 1000) === second);
    let below = top + SHARES;
    for (const region of regions) {
      const share = those.filter((one) => one.region === region).length / (those.length || 1);
      if (share === 0) continue;
      below -= share * SHARES;
      const fill = `fill="${colourOf(region)}" opacity="0.55"`;
      box(x(second * 1000), x(second * 1000 + 1000), below, share * SHARES, fill);
    }
  }

  for (const [row, region] of accepting.entries()) {
    const y = firstRow + row * ROW;
    text(LEFT - 10, y + 4, region, "end", colourOf(region));
    for (const entry of accepted.filter((one) => one.region === region)) {
      const shape = entry.client === "free" ? 'r="2.5"' : 'r="3.5" fill-opacity="0.4"';
      parts.push(
        `<circle cx="${x(entry.atMs).toFixed(1)}" cy="${y}" ${shape} fill="${colourOf(region)}"/>`,
      );
    }
  }
  const failedAt = firstRow + accepting.length * ROW;
  text(LEFT - 10, failedAt + 4, "failed tries", "end");
  for (const ms of failed) {
    parts.push(
      `<path d="M${(x(ms) - 2.5).toFixed(1)} ${failedAt - 3}l5 6m0 -6l-5 6" stroke="#d62728"/>`,
    );
  }
  for (const [row, region] of writing.entries()) {
    const y = failedAt + (row + 1) * ROW;
    text(LEFT - 10, y + 4, `${region} writes`, "end", colourOf(region));
    const own = commits.filter((one) => one.region === region).map(({ atMs }) => atMs);
    for (const [begin, end] of stretches(own)) {
      box(x(begin), x(end), y - 4, 8, `fill="${colourOf(region)}"`);
    }
  }

  parts.push(`<path d="M${LEFT} ${axis}H${WIDTH - RIGHT}" stroke="#999"/>`);
  const step = niceStep((to - from) / 1000 / 10) * 1000;
  for (let ms = Math.ceil(from / step) * step; ms <= to; ms += step) {
    text(x(ms), axis + 16, `${ms / 1000} s`, "middle", "#777");
    parts.push(`<path d="M${x(ms).toFixed(1)} ${axis}v4" stroke="#999"/>`);
  }
  for (const [index, { atMs, what }] of milestones.entries()) {
    const y = axis + 38 + index * 16;
    parts.push(
      `<path d="M${x(atMs).toFixed(1)} ${top - 14}V${y - 4}" stroke="#bbb" stroke-dasharray="2 3"/>`,
    );
    const right = x(atMs) > WIDTH * 0.6;
    const label = `${(atMs / 1000).toFixed(1)} s  ${what.slice(0, 90)}`;
    text(x(atMs) + (right ? -4 : 4), y, label, right ? "end" : "start");
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>${parts.join("")}</svg>\n`;
}

/** From the first to the last of times that are no farther apart than a gap. Times are in order. */
function stretches(times: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const at of times) {
    const last = found.at(-1);
    if (last !== undefined && at - last[1] <= GAP_MS) last[1] = at;
    else found.push([at, at]);
  }
  return found;
}

/** 1, 2 or 5 times a power of ten, the first that is not smaller. */
function niceStep(atLeast: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(atLeast, 0.1)));
  return ([1, 2, 5, 10].find((times) => times * power >= atLeast) ?? 10) * power;
}

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

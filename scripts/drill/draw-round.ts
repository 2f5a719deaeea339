import type { RoundReport } from "./run-round.ts";

const WIDTH = 960;
const LEFT = 110;
const RIGHT = 20;
const ROW = 22;
const colours = ["#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2"];

/** A round as SVG: a line of dots for each region that accepted, failed tries below, and the milestones with their times. */
export function drawRound({ accepted, failed, moments, healedMs }: RoundReport): string {
  const regions = [...new Set(accepted.map(({ region }) => region))].toSorted();
  const milestones = moments.filter(({ milestone }) => milestone);
  const times = [
    ...accepted.map(({ atMs }) => atMs),
    ...failed,
    ...milestones.map(({ atMs }) => atMs),
  ];
  const from = Math.min(0, ...times);
  const to = Math.max(1, ...times);
  const x = (ms: number) => LEFT + ((ms - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const top = 30;
  const rows = regions.length + 1;
  const axis = top + rows * ROW + 8;
  const height = axis + 30 + milestones.length * 16 + 12;
  const parts: string[] = [];
  const text = (at: number, y: number, what: string, anchor = "start", fill = "#333") =>
    parts.push(
      `<text x="${at.toFixed(1)}" y="${y}" text-anchor="${anchor}" fill="${fill}">${escape(what)}</text>`,
    );

  parts.push(
    `<rect x="${x(0).toFixed(1)}" y="${top - 14}" width="${(x(healedMs) - x(0)).toFixed(1)}" height="${axis - top + 14}" fill="#d62728" opacity="0.10"/>`,
  );
  text(x(0) + 4, top - 18, "the fault", "start", "#b02020");
  for (const [row, region] of regions.entries()) {
    const y = top + row * ROW;
    text(LEFT - 10, y + 4, region, "end");
    for (const entry of accepted.filter((one) => one.region === region)) {
      const shape = entry.client === "free" ? 'r="2.5"' : 'r="3.5" fill-opacity="0.4"';
      parts.push(
        `<circle cx="${x(entry.atMs).toFixed(1)}" cy="${y}" ${shape} fill="${colours[row % colours.length]}"/>`,
      );
    }
  }
  const failedAt = top + regions.length * ROW;
  text(LEFT - 10, failedAt + 4, "failed tries", "end");
  for (const ms of failed) {
    parts.push(
      `<path d="M${(x(ms) - 2.5).toFixed(1)} ${failedAt - 3}l5 6m0 -6l-5 6" stroke="#d62728"/>`,
    );
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

/** 1, 2 or 5 times a power of ten, the first that is not smaller. */
function niceStep(atLeast: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(atLeast, 0.1)));
  return ([1, 2, 5, 10].find((times) => times * power >= atLeast) ?? 10) * power;
}

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

import type { PinnedFile } from "../../regions/speech/models/model-entry.ts";

/** A terminal's line is drawn this often, ms; a log gets a line this often. */
const REDRAW_MS = 100;
const LOG_MS = 5000;
/** The rate is that of the last seconds. */
const WINDOW_MS = 5000;

export interface ProgressStream {
  isTTY?: boolean;
  write(text: string): unknown;
}

/**
 * Shows how a download goes, on standard error: a line that is drawn again on a terminal, one every few seconds elsewhere.
 *
 * @param now a clock, ms
 */
export function createDownloadProgress(
  files: readonly PinnedFile[],
  stream: ProgressStream = process.stderr,
  now: () => number = () => performance.now(),
) {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const have = new Map<string, number>();
  let sum = 0;
  let marks: { at: number; sum: number }[] = [];
  let shown = Number.NEGATIVE_INFINITY;
  let open = false;

  function onBytes(file: PinnedFile, bytes: number): void {
    const before = have.get(file.path);
    // What was here before this run counts as here, not as speed.
    const fresh = before === undefined || bytes < before;
    sum += bytes - (before ?? 0);
    have.set(file.path, bytes);
    const at = now();
    if (fresh) marks = [];
    marks.push({ at, sum });
    while (marks.length > 2 && at - (marks[0]?.at ?? at) > WINDOW_MS) marks.shift();
    const done = bytes === file.bytes;
    if (!done && at - shown < (stream.isTTY === true ? REDRAW_MS : LOG_MS)) return;
    shown = at;
    draw(line(file, at));
    if (done) end();
  }

  function line(file: PinnedFile, at: number): string {
    const number = files.indexOf(file) + 1;
    const first = marks[0];
    const rate =
      first !== undefined && at > first.at ? ((sum - first.sum) / (at - first.at)) * 1000 : 0;
    const left = rate > 0 ? `, ${Math.ceil((total - sum) / rate)} s left` : "";
    const speed = rate > 0 ? `  ${formatBytes(rate)}/s${left}` : "";
    const percent = Math.floor((100 * sum) / total);
    return `${number}/${files.length} ${file.path}  ${formatBytes(sum)} of ${formatBytes(total)}  ${percent} %${speed}`;
  }

  function draw(text: string): void {
    if (stream.isTTY === true) {
      stream.write(`\r\x1b[2K${text}`);
      open = true;
    } else stream.write(`${text}\n`);
  }

  /** Leaves the line as it is. */
  function end(): void {
    if (open) stream.write("\n");
    open = false;
  }

  return {
    onBytes,
    onTrouble(message: string, waitMs: number): void {
      end();
      stream.write(`${message}; again in ${Math.ceil(waitMs / 1000)} s\n`);
    },
    end,
  };
}

/** Bytes as people read them. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  const units = ["kB", "MB", "GB"];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

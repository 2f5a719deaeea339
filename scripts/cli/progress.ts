import { setInterval, clearInterval } from "node:timers";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/**
 * Progress on standard error, so that standard output stays clean for results: a spinner that redraws
 * its line on a terminal, one plain line per change elsewhere.
 */
export function createProgress(stream: NodeJS.WriteStream = process.stderr) {
  let text = "";
  let frame = 0;
  const draw = () => stream.write(`\r\x1b[2K${FRAMES[frame++ % FRAMES.length]} ${text}`);
  const timer = stream.isTTY ? setInterval(draw, 80) : undefined;

  function show(next: string): void {
    if (next === text) return;
    text = next;
    if (timer) draw();
    else stream.write(`${text}\n`);
  }

  function stop(): void {
    if (!timer) return;
    clearInterval(timer);
    stream.write("\r\x1b[2K");
  }

  return { show, stop };
}

import type { Transcript } from "../contracts/analysis-result.ts";
import { toCues } from "./to-cues.ts";

/** SubRip. Without speech it is empty. */
export function toSrt(transcript: Transcript): string {
  return toCues(transcript)
    .map(
      ({ start_s, end_s, lines }, i) =>
        `${i + 1}\n${clock(start_s, ",")} --> ${clock(end_s, ",")}\n${lines.join("\n")}\n\n`,
    )
    .join("");
}

/** WebVTT. Without speech it has a header and no cue. */
export function toVtt(transcript: Transcript): string {
  const cues = toCues(transcript).map(
    ({ start_s, end_s, lines }) =>
      `${clock(start_s, ".")} --> ${clock(end_s, ".")}\n${lines.map(escapeVtt).join("\n")}\n\n`,
  );
  return `WEBVTT\n\n${cues.join("")}`;
}

/** Hours have two digits at least and as many as they need. */
function clock(time_s: number, point: "," | "."): string {
  const ms = Math.round(time_s * 1000);
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const rest = String(ms % 1000).padStart(3, "0");
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}${point}${rest}`;
}

const VTT_ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

function escapeVtt(text: string): string {
  return text.replaceAll(/[&<>]/g, (found) => VTT_ESCAPES[found]!);
}
